"""Summaries of maps and draws, in numpy alone."""

import dataclasses

import numpy as np


@dataclasses.dataclass
class Geometry:
    """The grid of a map."""

    ny: int
    nx: int
    side_x_deg: float

    @property
    def side_y_deg(self):
        return self.side_x_deg * self.ny / self.nx

    @property
    def pixel(self):
        """Side of a pixel in radians."""
        return np.radians(self.side_x_deg) / self.nx


def multipole_bins(shape, pixel, count=10):
    """Edges of bins in ell, from the fundamental mode to the Nyquist wavenumber, none narrower than the fundamental.

    shape: (ny, nx); pixel: side in radians.
    """
    fundamental = 2 * np.pi / (pixel * max(shape))
    nyquist = np.pi / pixel
    edges = np.geomspace(0.5 * fundamental, nyquist, count + 1)
    merged = [edges[0]]
    for edge in edges[1:]:
        if edge - merged[-1] >= 0.999 * fundamental or edge == edges[-1]:
            merged.append(edge)
    return np.array(merged)


def _half_plane(shape, pixel):
    """|k| of rfft2's modes, and how many modes of the full plane each stands for."""
    ny, nx = shape
    ky = 2 * np.pi * np.fft.fftfreq(ny, pixel)
    kx = 2 * np.pi * np.fft.rfftfreq(nx, pixel)
    weight = np.full((ny, kx.size), 2.0)
    weight[:, 0] = 1
    if nx % 2 == 0:
        weight[:, -1] = 1
    return np.hypot(ky[:, None], kx[None, :]), weight


def band_powers(a, b, pixel, edges):
    """Cross power C(ell) of maps a and b [..., ny, nx] in bins of ell.  Returns [..., bin]."""
    shape = a.shape[-2:]
    ell, weight = _half_plane(shape, pixel)
    bins = np.digitize(ell, edges).ravel() - 1
    inside = (bins >= 0) & (bins < edges.size - 1)
    fa = np.fft.rfft2(a)
    fb = fa if b is a else np.fft.rfft2(b)
    power = (fa * fb.conj()).real * (pixel**2 / (shape[0] * shape[1]))
    power = power.reshape(-1, ell.size)[:, inside] * weight.ravel()[inside]
    total = np.bincount(bins[inside], weight.ravel()[inside], edges.size - 1)
    rows = [np.bincount(bins[inside], row, edges.size - 1) / total for row in power]
    return np.array(rows).reshape(a.shape[:-2] + (edges.size - 1,))


def band_centres(shape, pixel, edges):
    """Mean |ell| of the modes in each bin."""
    ell, weight = _half_plane(shape, pixel)
    bins = np.digitize(ell, edges).ravel() - 1
    inside = (bins >= 0) & (bins < edges.size - 1)
    w = weight.ravel()[inside]
    return np.bincount(bins[inside], w * ell.ravel()[inside], edges.size - 1) / np.bincount(
        bins[inside], w, edges.size - 1
    )


def in_errors(deviation, error):
    """Deviations in their errors; 0 where there is no error."""
    deviation, error = np.asarray(deviation, float), np.asarray(error, float)
    return np.divide(deviation, error, out=np.zeros_like(deviation), where=error > 0)


def correlation(a, b):
    """Pearson coefficient over the pixels of maps [..., ny, nx]; 0 where a map is constant."""
    a = a - a.mean(axis=(-2, -1), keepdims=True)
    b = b - b.mean(axis=(-2, -1), keepdims=True)
    norm = np.sqrt((a**2).sum((-2, -1)) * (b**2).sum((-2, -1)))
    return np.divide((a * b).sum((-2, -1)), norm, out=np.zeros_like(norm), where=norm > 0)


def density_1d(samples, grid, low=-np.inf, high=np.inf):
    """Gaussian kernel density with Scott's bandwidth; samples are mirrored at hard bounds."""
    samples = np.asarray(samples, float)
    width = samples.std() * samples.size**-0.2
    if not width > 0:
        return np.zeros_like(grid)
    images = [samples] + [2 * bound - samples for bound in (low, high) if np.isfinite(bound)]
    u = (grid[:, None] - np.concatenate(images)[None, :]) / width
    density = np.exp(-0.5 * u**2).sum(1) / (samples.size * width * np.sqrt(2 * np.pi))
    return np.where((grid >= low) & (grid <= high), density, 0)


def density_2d(x, y, grid_x, grid_y, bounds=((-np.inf, np.inf), (-np.inf, np.inf))):
    """Gaussian kernel density with the samples' covariance and Scott's bandwidth.  Returns [grid_y, grid_x]."""
    samples = np.stack([x, y], 1).astype(float)
    covariance = np.cov(samples.T) * samples.shape[0] ** (-1 / 3)
    if not np.linalg.det(covariance) > 0:
        return np.zeros((grid_y.size, grid_x.size))
    images = [(samples, covariance)]
    for axis, pair in enumerate(bounds):
        for bound in pair:
            if np.isfinite(bound):  # a mirror image turns the covariance too
                mirrored, flipped = samples.copy(), covariance.copy()
                mirrored[:, axis] = 2 * bound - mirrored[:, axis]
                flipped[0, 1] *= -1
                flipped[1, 0] *= -1
                images.append((mirrored, flipped))
    gx, gy = np.meshgrid(grid_x, grid_y)
    points = np.stack([gx.ravel(), gy.ravel()], 1)
    density = np.zeros(points.shape[0])
    for image, c in images:
        whiten = np.linalg.cholesky(np.linalg.inv(c))
        p, s = points @ whiten, image @ whiten
        for start in range(0, s.shape[0], 256):
            block = s[start : start + 256]
            r2 = (p**2).sum(1)[:, None] - 2 * p @ block.T + (block**2).sum(1)[None, :]
            density += np.exp(-0.5 * r2).sum(1)
    (lx, hx), (ly, hy) = bounds
    outside = (points[:, 0] < lx) | (points[:, 0] > hx) | (points[:, 1] < ly) | (points[:, 1] > hy)
    density[outside] = 0
    return density.reshape(gx.shape) / density.sum()


def credible_levels(density, fractions):
    """Densities above which lie the given fractions of the total, in increasing order of density."""
    ordered = np.sort(density.ravel())[::-1]
    enclosed = np.cumsum(ordered) / ordered.sum()
    return sorted(ordered[min(np.searchsorted(enclosed, f), ordered.size - 1)] for f in fractions)


def s8(theta, names):
    """sigma_8 sqrt(Omega_m / 0.3) of parameters [..., p]."""
    omega_m = theta[..., names.index("Omega_c")] + theta[..., names.index("Omega_b")]
    return theta[..., names.index("sigma_8")] * np.sqrt(np.maximum(omega_m, 0) / 0.3)


def _quadratic(x):
    """Features [sample, 1 + p + p(p+1)/2]: 1, x_i, x_i x_j."""
    first, second = np.triu_indices(x.shape[1])
    return np.concatenate([np.ones((len(x), 1)), x, x[:, first] * x[:, second]], 1)


def _logistic(features, label, ridge=1.0, steps=25):
    """Weights of a logistic regression with a Gaussian prior of variance 1/ridge on all but the constant, by Newton."""
    weight = np.zeros(features.shape[1])
    penalty = np.full(weight.size, ridge)
    penalty[0] = 1e-9
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(features @ weight, -30, 30)))
        gradient = features.T @ (p - label) + penalty * weight
        hessian = (features * (p * (1 - p))[:, None]).T @ features + np.diag(penalty)
        weight = weight - np.linalg.solve(hessian, gradient)
    return weight


def classifier_score(a, b, folds=5, seed=0):
    """How often a classifier tells draws a from draws b [draw, p]: 0.5 where they are of one distribution, 1 where they
    never overlap (the two-sample test of Lopez-Paz & Oquab 2017, here with a logistic regression on x_i and x_i x_j,
    which sees shifts, widths and correlations).  As many of each, held out fold by fold.  Returns the score and its
    standard error where the two are the same."""
    count = min(len(a), len(b))
    rng = np.random.default_rng(seed)
    both = np.concatenate([x[rng.permutation(len(x))[:count]] for x in (a, b)])
    spread = both.std(0)
    features = _quadratic((both - both.mean(0))[:, spread > 0] / spread[spread > 0])
    label = np.repeat([0.0, 1.0], count)
    fold = np.concatenate([np.arange(count) % folds] * 2)
    right = 0
    for k in range(folds):
        weight = _logistic(features[fold != k], label[fold != k])
        right += np.sum((features[fold == k] @ weight > 0) == (label[fold == k] > 0.5))
    return right / (2 * count), 0.5 / np.sqrt(2 * count)
