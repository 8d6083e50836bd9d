/** \file mutate.c  How libFuzzer changes an input that is a list of edits (tree.h): by whole records. */
#include "tree.h"

#include <stdlib.h>

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed);

static size_t append(uint8_t *bytes, size_t records)
{
  uint8_t *record = bytes + 1 + records * TREE_RECORD;

  for (int i = 0; i < TREE_RECORD; i++) record[i] = (uint8_t)(rand() >> 7);
  return records + 1;
}

static size_t drop(uint8_t *bytes, size_t records, size_t which)
{
  memmove(bytes + 1 + which * TREE_RECORD, bytes + 1 + (which + 1) * TREE_RECORD, (records - which - 1) * TREE_RECORD);
  return records - 1;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed)
{
  size_t records = size ? PetscMin((size - 1) / TREE_RECORD, TREE_MOST_RECORDS) : 0;
  const size_t room = PetscMin((most - 1) / TREE_RECORD, TREE_MOST_RECORDS);

  srand(seed);
  if (!size) bytes[0] = TREE_SEAL;
  const int choice = rand() % 8;
  const size_t which = records ? (size_t)rand() % records : 0;
  if (records < room && (!records || choice == 0))
    records = append(bytes, records);
  else if (records > 1 && choice == 1)
    records = drop(bytes, records, which);
  else if (choice == 2)
    bytes[0] ^= TREE_SEAL;
  else if (records)
    LLVMFuzzerMutate(bytes + 1 + which * TREE_RECORD, TREE_RECORD, TREE_RECORD);
  return 1 + records * TREE_RECORD;
}
