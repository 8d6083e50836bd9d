/** \file stream.c  Maps from ranks that simulate to ranks that train.
 *
 * Who wants maps asks for them one by one, as far ahead as he likes, by messages with the number of a realisation;
 * which rank is asked follows from that number.  A rank answers in the order in which it was asked, so MPI matches
 * answers and receives by their order alone.  \ingroup campaign */
#include "internal.h"

#include <string.h>

enum { TAG_ASK, TAG_LETTER, TAG_KAPPA, TAG_DISMISS, TAG_SERVICE };

/* ------------------------------------------------------------------ who asks */

PetscErrorCode stream_ask(MPI_Comm simulators, int64_t realisation, size_t values, TravellingMap *map)
{
  PetscMPIInt count;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_remote_size(simulators, &count));
  const int rank = (int)(realisation % count);
  if (!map->kappa) PetscCall(PetscMalloc1(values, &map->kappa));
  PetscCallMPI(
      MPI_Irecv(&map->letter, (int)sizeof map->letter, MPI_BYTE, rank, TAG_LETTER, simulators, &map->requests[0]));
  PetscCallMPI(MPI_Irecv(map->kappa, (int)values, MPI_FLOAT, rank, TAG_KAPPA, simulators, &map->requests[1]));
  PetscCallMPI(MPI_Send(&realisation, 1, MPI_INT64_T, rank, TAG_ASK, simulators));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode stream_wait(TravellingMap *map)
{
  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Waitall(2, map->requests, MPI_STATUSES_IGNORE));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode simulation_dismiss(MPI_Comm simulators, SimulationService *service)
{
  const int64_t nothing = 0;
  PetscMPIInt count;

  PetscFunctionBeginUser;
  *service = (SimulationService){0};
  PetscCallMPI(MPI_Comm_remote_size(simulators, &count));
  for (int rank = 0; rank < count; rank++)
    PetscCallMPI(MPI_Send(&nothing, 1, MPI_INT64_T, rank, TAG_DISMISS, simulators));
  for (int rank = 0; rank < count; rank++) {
    SimulationService one;

    PetscCallMPI(MPI_Recv(&one, (int)sizeof one, MPI_BYTE, rank, TAG_SERVICE, simulators, MPI_STATUS_IGNORE));
    service->maps += one.maps;
    service->busy_seconds += one.busy_seconds;
    service->seconds += one.seconds;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ who simulates */

/* Maps that are made but not yet received take at most so many bytes, or the room of LEAST maps. */
enum { OUTGOING_BYTES = 1 << 28, LEAST = 4, MOST = 256 };

typedef struct {
  MPI_Comm clients;
  Simulator *simulator;
  PetscErrorCode error; /* why there is no simulator, or what has failed: there is no sense in more of it */
  char reason[512];
  size_t values; /* of a map */
  size_t places, next; /* next: where the next map goes */
  TravellingMap *outgoing; /* [places] */
  SimulationService service;
} Server;

/* An error, if it is one, with its message, for those who ask. */
static PetscErrorCode keep(Server *server, PetscErrorCode error)
{
  PetscFunctionBeginUser;
  server->error = error;
  if (error) PetscCall(PetscStrncpy(server->reason, error_message(), sizeof server->reason));
  error_clear();
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode server_create(Server *server, const SurveyConfig *survey, const Prior *prior, int64_t seed)
{
  PetscFunctionBeginUser;
  server->values = survey_map_values(survey);
  server->places = PetscClipInterval(OUTGOING_BYTES / (server->values * sizeof(float)), LEAST, MOST);
  PetscCall(PetscCalloc1(server->places, &server->outgoing));
  for (size_t i = 0; i < server->places; i++)
    server->outgoing[i].requests[0] = server->outgoing[i].requests[1] = MPI_REQUEST_NULL;
  PetscCall(keep(server, simulator_create(PETSC_COMM_SELF, survey, prior, seed, &server->simulator)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode server_destroy(Server *server)
{
  PetscFunctionBeginUser;
  for (size_t i = 0; server->outgoing && i < server->places; i++) {
    PetscCall(stream_wait(&server->outgoing[i]));
    PetscCall(PetscFree(server->outgoing[i].kappa));
  }
  PetscCall(PetscFree(server->outgoing));
  PetscCall(simulator_destroy(&server->simulator));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What goes wrong is for the letter to say, and for all that follow: it may take long to find out. */
static PetscErrorCode make(Server *server, int64_t realisation, TravellingMap *map)
{
  MapLetter *letter = &map->letter;
  const double begun = MPI_Wtime();

  PetscFunctionBeginUser;
  memset(letter, 0, sizeof *letter);
  if (!server->error)
    PetscCall(keep(server, simulator_realisation(server->simulator, realisation, map->kappa, letter->theta, NULL)));
  letter->error = (int)server->error;
  memcpy(letter->reason, server->reason, sizeof letter->reason);
  server->service.maps++;
  server->service.busy_seconds += MPI_Wtime() - begun;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode answer(Server *server, int64_t realisation, int client)
{
  TravellingMap *map = &server->outgoing[server->next++ % server->places];

  PetscFunctionBeginUser;
  PetscCall(stream_wait(map)); /* the one that had this place has arrived */
  if (!map->kappa) PetscCall(PetscCalloc1(server->values, &map->kappa));
  PetscCall(make(server, realisation, map));
  PetscCallMPI(MPI_Isend(&map->letter, (int)sizeof map->letter, MPI_BYTE, client, TAG_LETTER, server->clients,
                         &map->requests[0]));
  PetscCallMPI(
      MPI_Isend(map->kappa, (int)server->values, MPI_FLOAT, client, TAG_KAPPA, server->clients, &map->requests[1]));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode serve(Server *server)
{
  const double begun = MPI_Wtime();
  PetscMPIInt left;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_remote_size(server->clients, &left));
  while (left > 0) {
    int64_t realisation;
    MPI_Status status;

    PetscCallMPI(MPI_Recv(&realisation, 1, MPI_INT64_T, MPI_ANY_SOURCE, MPI_ANY_TAG, server->clients, &status));
    if (status.MPI_TAG == TAG_ASK) {
      PetscCall(answer(server, realisation, status.MPI_SOURCE));
      continue;
    }
    left--;
    server->service.seconds = MPI_Wtime() - begun;
    PetscCallMPI(MPI_Send(&server->service, (int)sizeof server->service, MPI_BYTE, status.MPI_SOURCE, TAG_SERVICE,
                          server->clients));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode simulation_serve(MPI_Comm clients, const SurveyConfig *survey, const Prior *prior, int64_t seed)
{
  Server server = {.clients = clients};

  PetscFunctionBeginUser;
  PetscErrorCode error = server_create(&server, survey, prior, seed);
  if (!error) error = serve(&server);
  PetscCall(server_destroy(&server));
  PetscCall(error);
  PetscCheck(!server.error, PETSC_COMM_SELF, server.error, "%s", server.reason);
  PetscFunctionReturn(PETSC_SUCCESS);
}
