"""What communication costs a training on many ranks: formulas, without any measurement.

A message of n bytes takes alpha + beta n. What an algorithm makes of that is in Thakur, Rabenseifner & Gropp 2005
(Int. J. High Perform. Comput. Appl. 19, 49); the time to add up two vectors is part of beta here. Times are in seconds.
"""

import dataclasses
import math

import numpy as np

RANKS = [2**i for i in range(13)]  # that are looked at
CLOSING_BYTES = 40  # five float64 that ranks tell each other after the gradient (src/training/step.c)
SQUARES_BYTES = 4096 * 8  # squares of the gradient's pieces, where ranks share the optimiser


def rounds(ranks):
    """Steps in which each rank's knowledge doubles."""
    return math.ceil(math.log2(ranks))


def cost(algorithm, ranks):
    """(messages, lengths of the vector) that one after another make up the sum of a vector over all ranks."""
    share = (ranks - 1) / ranks
    return {
        "ring": (2 * (ranks - 1), 2 * share),  # parts go around, twice
        "halving": (2 * rounds(ranks), 2 * share),  # Rabenseifner: halves of halves are summed, then gathered
        "doubling": (rounds(ranks), float(rounds(ranks))),  # recursive doubling: whole vectors are exchanged
        "tree": (2 * rounds(ranks), 2.0 * rounds(ranks)),  # summed up a binomial tree, and sent down again
    }[algorithm]


ALGORITHMS = ("ring", "halving", "doubling", "tree")


def half_cost(algorithm, ranks):
    """The same for a reduce-scatter or an allgather, of which the sum by ring or by halves consists."""
    messages = ranks - 1 if algorithm == "ring" else rounds(ranks)
    return messages, (ranks - 1) / ranks


@dataclasses.dataclass
class Interconnect:
    alpha: float  # of a message
    beta: float  # of a byte
    algorithm: str

    def seconds(self, counts, size, pieces=1):
        """Of `size` bytes in so many pieces, one after another."""
        return pieces * counts[0] * self.alpha + counts[1] * size * self.beta

    def sum(self, ranks, size, pieces=1):
        return self.seconds(cost(self.algorithm, ranks), size, pieces)

    def half(self, ranks, size, pieces=1):
        return self.seconds(half_cost(self.algorithm, ranks), size, pieces)


def fit(algorithm, ranks, sizes, seconds):
    """Alpha and beta, neither below 0, of measured sums: least squares of the relative errors."""
    if ranks < 2:
        raise ValueError("one rank has no communication to fit")
    messages, lengths = cost(algorithm, ranks)
    seconds = np.asarray(seconds, float)
    terms = np.stack([np.full(len(seconds), messages), lengths * np.asarray(sizes, float)], 1) / seconds[:, None]
    scale = terms.max(0)  # a latency and the time of a byte are many orders of magnitude apart
    found = np.linalg.lstsq(terms / scale, np.ones(len(seconds)), rcond=None)[0] / scale
    if min(found) < 0:  # one term alone explains the times best
        kept = int(found[0] < 0)
        found = np.zeros(2)
        found[kept] = terms[:, kept].sum() / (terms[:, kept] ** 2).sum()
    return Interconnect(float(found[0]), float(found[1]), algorithm)


@dataclasses.dataclass
class Training:
    """A step of one rank."""

    sample: float  # forward and backward of a sample
    update: float  # the optimiser, for all weights
    backward: float  # share of `sample`
    micro_batch: int  # samples at once; only the last of them have backward passes that hide communication
    gradient: float  # bytes
    bucket: float  # bytes
    pieces: int  # parts of the gradient that backward announces one after another: the blocks


OPTIMISERS = ("whole", "shared", "scattered")


def exposed(ready, seconds):
    """What is left to do at the time of the last of `ready`, of work that takes `seconds` each and is done in order."""
    end = 0.0
    for begin, duration in zip(ready, seconds):
        end = max(end, begin) + duration
    return end - ready[-1]


def step(training, interconnect, ranks, samples, optimiser="whole", hidden=True):
    """(seconds, of these communication that shows) of a step in which the busiest rank has so many samples.

    optimiser: whole on every rank; shared, as train_shard_optimizer has it: gradients are summed to all ranks and
    weights gathered; scattered: each part of the gradient is summed to its owner alone. hidden: whether communication
    goes on during backward.
    """
    update = training.update if optimiser == "whole" else training.update / ranks
    compute = training.sample * samples + update
    if ranks == 1:
        return compute, 0.0
    sum_up = interconnect.half if optimiser == "scattered" else interconnect.sum
    buckets = max(1.0, training.gradient / training.bucket) / training.pieces
    piece = sum_up(ranks, training.gradient / training.pieces, buckets)
    if hidden:
        window = training.backward * training.sample * min(samples, training.micro_batch)
        ready = [window * (i + 1) / training.pieces for i in range(training.pieces)]
        shows = exposed(ready, [piece] * training.pieces)
    else:
        shows = piece * training.pieces
    shows += interconnect.sum(ranks, CLOSING_BYTES)
    if optimiser != "whole":
        shows += interconnect.sum(ranks, SQUARES_BYTES) + interconnect.half(ranks, training.gradient)
    return compute + shows, shows


@dataclasses.dataclass
class Prediction:
    ranks: int
    samples: int  # of the busiest rank
    seconds: float  # of a step
    shows: float  # share of the step that is communication
    efficiency: float  # work done per rank and time, over that of one rank alone


def predict(training, interconnect, ranks, samples, batch=None, **how):
    """Weak scaling: every rank has as many samples. With a batch, strong scaling: all ranks together have so many."""
    own = samples if batch is None else math.ceil(batch / ranks)
    alone, _ = step(training, interconnect, 1, samples if batch is None else batch)
    seconds, shows = step(training, interconnect, ranks, own, **how)
    work = alone if batch is None else alone / ranks
    return Prediction(ranks, own, seconds, shows / seconds, work / seconds)


def node_hours(seconds, steps, ranks, threads, cores_per_node):
    """(hours from beginning to end, times the nodes, or the part of one, whose cores are used)."""
    hours = seconds * steps / 3600
    return hours, hours * ranks * threads / cores_per_node
