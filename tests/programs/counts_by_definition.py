"""What doc/calibration.md says of distances and summaries, in numpy."""

import numpy as np


def uniforms(seed, stream, index, position, count):
    """Philox 4x64-10 with key (seed, stream) and counter (index, position / 4), as NumPy has it."""
    words = []
    for block in range(position // 4, (position + count + 3) // 4):
        counter = (index + (block << 64) - 1) % (1 << 256)  # NumPy counts up before the first block
        words.extend(np.random.Philox(key=seed + (stream << 64), counter=counter).random_raw(4))
    words = np.array(words, np.uint64)[position % 4 : position % 4 + count]
    return (words >> np.uint64(12)).astype(float) * 2.0**-52 + 2.0**-53


def excess(seed, truth, draw, centres, metric, standardised):
    """|draw - centre|^2 - |truth - centre|^2 [T, S, centre] of truths [T, q] and draws [T, S, q].

    metric: the number that keys the centres.
    """
    count, dimension = truth.shape
    found = []
    for t in range(count):
        others = np.delete(truth, t, 0)
        mean, std = (others.mean(0), others.std(0)) if standardised else (0, np.ones(dimension))
        std[std < 1e-6 * truth.std(0)] = np.inf  # a dimension in which truths do not differ counts for nothing
        std[std == 0] = np.inf
        here, there = (truth[t] - mean) / std, (draw[t] - mean) / std
        centre = uniforms(seed, 10, (metric << 40) + t, 0, centres * dimension).reshape(centres, dimension)
        centre = 4 * centre - 2 if standardised else centre
        found.append(((there[:, None] - centre) ** 2).sum(-1) - ((here - centre) ** 2).sum(-1))
    return np.array(found)


def s8_omega_m(theta):
    """theta [parameter, …]"""
    omega_m = theta[0] + theta[1]
    return [theta[2] * np.sqrt(omega_m / 0.3), omega_m]


def spectra(kappa, side):
    """Mean C(ell) of pairs of bins in bands, equal in ln ell from the fundamental mode to the Nyquist frequency: six, but
    at least half an octave each.  kappa: [bin, n, n]; side: in radians."""
    bins, n = kappa.shape[:2]
    bands = min(6, int(2 * np.log2(n / 2)))
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(n, 1 / n), np.fft.fftfreq(n, 1 / n)))
    with np.errstate(divide="ignore"):
        band = np.floor(bands * np.log(1.01 * k) / np.log(1.01 * n / 2))
    modes, unit = np.fft.fft2(kappa), (side / n) ** 2 / n**2
    pairs = [(i, j) for i in range(bins) for j in range(i, bins)]
    return [unit * (modes[i] * modes[j].conj()).real[band == b].mean() for i, j in pairs for b in range(bands)]


def peaks(kappa):
    """Pixels above their eight neighbours, by their height in standard deviations.  kappa: [bin, n, n]"""
    counts = []
    for bin in kappa:
        moves = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
        peak = np.all([bin > np.roll(bin, move, (0, 1)) for move in moves], axis=0)
        height = np.floor((bin[peak] - bin.mean()) / bin.std()).clip(0, 3).astype(int)
        counts.extend(np.bincount(height, minlength=4))
    return counts
