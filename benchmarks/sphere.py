"""Speed of the sphere's mathematics beside others, and how exactly rotations are found.

    python -m benchmarks.sphere [DATA]          # from the checkout; DATA: default ../shared/data

Speed, in milliseconds of CPU time over all threads, the methods called in turn, the least and the
median of the repeats, float32 where not said otherwise:

- transform: 512 maps of 64 x 64 (16 items of 32 channels), 32 degrees; forward, inverse, and both
  with the gradient of the first input. `torch-harmonics` (its equiangular and its Gauss grid) only
  where it is installed (0.7.4 was; later ones replace torch); ducc0 is called map by map, in
  float64, and has no gradient; `einsum` is what one would write down: rfft, then complex einsum;
- layer: a zonal convolution of 32 to 32 channels with its gradients, beside a 3 x 3 convolution;
- correlation: 32 channels, a grid of 64^3, batches of 16: per pair, from maps of 64 x 64 or of
  16 x 16 to the best point of the grid, and on to the refined rotation.

Equivariance: relative L2 error between turning the input and turning the output, below the band
limit of the output, for 10 smooth random fields (degrees weigh (l + 1)^-2, no mean) on 64 x 64.

Accuracy, in degrees: 100 pairs of rotated functions. Band-limited random fields, and ray lengths of
100 shapes of the open models, cast at both rotations (only where DATA is there). Symmetric shapes
come out half a turn off, rightly; medians do not see it. Writes benchmarks/sphere.csv.
"""

from __future__ import annotations

import csv
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import ducc0
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from stages.geometry.rotations import geodesic
from stages.sphere.alignment import align, unshift
from stages.sphere.grids import GRIDS
from stages.sphere.pooling import area_pool, spectral_pool
from stages.sphere.rotation import rotate_coefficients
from stages.sphere.transform import inverse_sht, sht
from stages.sphere.upsampled import align_upsampled
from stages.sphere.zonal import ZonalConvolution

ROOT = Path(__file__).parents[1]
REPEATS, PAIRS, BATCH, CHANNELS, SIZE = 30, 100, 16, 32, 64
Row = dict[str, object]
Work = Callable[[], object]


def forward_inverse(
    forward: Callable[[torch.Tensor], torch.Tensor], inverse: Callable[[torch.Tensor], torch.Tensor]
) -> dict[str, Work]:
    """The three pieces of work of one implementation of the transform."""
    maps = torch.randn(BATCH * CHANNELS, SIZE, SIZE, requires_grad=True)
    plain, found = maps.detach(), forward(maps.detach())

    def both() -> None:
        out = inverse(forward(maps))
        torch.autograd.grad(out, maps, plain)

    return {
        "forward": lambda: forward(plain),
        "inverse": lambda: inverse(found),
        "forward + inverse + backward": both,
    }


def by_einsum() -> dict[str, Work]:
    """Analysis and synthesis as the formulas stand, in complex numbers."""
    from stages.sphere.grids import colatitudes, quadrature_weights
    from stages.sphere.legendre import associated_legendre

    half = SIZE // 2
    legendre = associated_legendre(half, colatitudes(SIZE))
    analysis = torch.as_tensor(legendre * quadrature_weights(SIZE)).to(torch.complex64)
    synthesis = torch.as_tensor(legendre).to(torch.complex64)

    def forward(maps: torch.Tensor) -> torch.Tensor:
        return torch.einsum("mlj,bjm->blm", analysis, torch.fft.rfft(maps)[..., :half])

    def inverse(found: torch.Tensor) -> torch.Tensor:
        rows = torch.einsum("mlj,blm->bjm", synthesis, found)
        return torch.fft.irfft(rows, n=SIZE, norm="forward")

    return forward_inverse(forward, inverse)


def by_ducc() -> dict[str, Work]:
    """Map by map, one thread."""
    transform = ducc0.sht.experimental
    maps = np.random.default_rng(0).normal(size=(BATCH * CHANNELS, 1, SIZE, SIZE))
    limit = {"spin": 0, "lmax": SIZE // 2 - 1, "geometry": "F1"}
    found = [transform.analysis_2d(map=one, **limit) for one in maps]
    size = {"ntheta": SIZE, "nphi": SIZE}
    return {
        "forward": lambda: [transform.analysis_2d(map=one, **limit) for one in maps],
        "inverse": lambda: [transform.synthesis_2d(alm=one, **limit, **size) for one in found],
    }


def by_torch_harmonics(grid: str) -> dict[str, Work]:
    import torch_harmonics

    size = {"lmax": SIZE // 2, "mmax": SIZE // 2, "grid": grid}
    forward = torch_harmonics.RealSHT(SIZE, SIZE, **size).float()
    return forward_inverse(forward, torch_harmonics.InverseRealSHT(SIZE, SIZE, **size).float())


def layers() -> dict[str, dict[str, Work]]:
    """Forward and backward of one layer on (16, 32, 64, 64)."""
    maps = torch.randn(BATCH, CHANNELS, SIZE, SIZE, requires_grad=True)
    seen = torch.randn_like(maps)

    def work(layer: torch.nn.Module) -> dict[str, Work]:
        wanted = (maps, *layer.parameters())
        return {"forward + backward": lambda: torch.autograd.grad(layer(maps), wanted, seen)}

    return {
        "ours": work(ZonalConvolution(CHANNELS, CHANNELS, SIZE)),
        "Conv2d 3 x 3": work(torch.nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)),
    }


def correlations() -> dict[str, dict[str, Work]]:
    """Maps of 16 pairs, to the best grid point of 64^3 or to the refined rotation."""
    found: dict[str, dict[str, Work]] = {"grid": {}, "refined": {}, "paper's way": {}}
    for size in (16, SIZE):
        maps = torch.randn(2, BATCH, CHANNELS, size, size)
        for name, starts in (("grid", 0), ("refined", 4)):
            found[name][f"maps of {size}"] = lambda maps=maps, starts=starts: align(
                sht(maps[0]), sht(maps[1]), starts=starts
            )
        if size == 16:
            found["paper's way"]["maps of 16"] = lambda maps=maps: align_upsampled(maps[0], maps[1])
    return found


def measured(methods: dict[str, dict[str, Work]], part: str, share: int = 1) -> Iterator[Row]:
    """A row per method and piece of work; the methods take turns, so that all see the same load."""
    works = {(name, what): work for name, all_ in methods.items() for what, work in all_.items()}
    spent: dict[tuple[str, str], list[float]] = {key: [] for key in works}
    for _ in range(REPEATS + 1):  # the first round fills the tables
        for key, work in works.items():
            start = time.process_time()
            work()
            spent[key].append((time.process_time() - start) * 1e3 / share)
    first = next(iter(methods))
    for (name, what), times in spent.items():
        base = spent.get((first, what), times)
        yield {
            "part": part,
            "method": name,
            "what": what,
            "least_ms": f"{min(times[1:]):.2f}",
            "median_ms": f"{np.median(times[1:]):.2f}",
            "times_first": f"{min(times[1:]) / min(base[1:]):.2f}",
        }


def speeds() -> Iterator[Row]:
    transforms = {"ours": forward_inverse(sht, inverse_sht)}
    if importlib.util.find_spec("torch_harmonics"):
        for grid in ("equiangular", "legendre-gauss"):
            transforms[f"torch-harmonics {grid}"] = by_torch_harmonics(grid)
    transforms |= {"einsum": by_einsum(), "ducc0 float64": by_ducc()}
    yield from measured(transforms, "transform, 512 maps")
    yield from measured(layers(), "layer")
    yield from measured(correlations(), "correlation, per pair", share=BATCH)


def equivariance() -> Iterator[Row]:
    """A row per layer and grid."""
    turn = torch.as_tensor(Rotation.random(10, random_state=0).as_matrix())
    fields = random_field(10, 4, degrees=SIZE // 2, decay=2)
    fields[..., 0, :] = 0
    for grid in GRIDS:
        maps = inverse_sht(fields, grid=grid)
        turned = inverse_sht(rotate_coefficients(fields, turn[:, None]), grid=grid)
        convolution = ZonalConvolution(4, 4, SIZE, grid=grid).double()
        layers: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], float]] = {
            "zonal convolution": (convolution, 0),
            "zonal convolution, ReLU": (lambda m, c=convolution: c(m).relu(), 0),
            "ReLU": (torch.relu, 0),
            "spectral pool": (lambda m, grid=grid: spectral_pool(m, grid), 0),
            "area pool": (lambda m, grid=grid: area_pool(m, grid), 0),
            "area pool 2 x 2": (lambda m, grid=grid: area_pool(m, grid, centred=False), 0),
            "area pool 2 x 2, shift undone": (
                lambda m, grid=grid: area_pool(m, grid, centred=False),
                np.pi / SIZE,
            ),
            "max_pool2d": (lambda m: torch.nn.functional.max_pool2d(m, 2), 0),
        }
        for name, (layer, longitude) in layers.items():
            seen = unshift(turn, -longitude)[:, None]
            with torch.no_grad():
                after = rotate_coefficients(sht(layer(maps), grid), seen)
                before = sht(layer(turned), grid)
            error = float((after - before).norm() / before.norm())
            yield {"part": "equivariance", "method": name, "what": grid, "error": f"{error:.1e}"}


def random_field(*lead: int, degrees: int, decay: float) -> torch.Tensor:
    """(*lead, L, L) complex128, degrees weigh (l + 1)^-decay."""
    weight = (1.0 + torch.arange(degrees)[:, None]) ** -decay
    found = torch.randn((*lead, degrees, degrees), dtype=torch.complex128).tril() * weight
    found[..., 0] = found[..., 0].real + 0j
    return found


class Case(NamedTuple):
    """100 pairs of maps, and what is to be found between them."""

    name: str
    f: torch.Tensor  # (100, C, n, n) float64
    g: torch.Tensor
    turn: torch.Tensor  # (100, 3, 3) R with f = Lambda_R g
    longitude: float = 0.0  # of the first sample

    def pooled(self, name: str, pool: Callable[[torch.Tensor], torch.Tensor]) -> Case:
        return Case(f"{self.name}, {name}", pool(self.f), pool(self.g), self.turn)


def fields() -> Iterator[Case]:
    """Random functions of degrees below 8."""
    turn = torch.as_tensor(Rotation.random(PAIRS, random_state=0).as_matrix())
    g = random_field(PAIRS, CHANNELS, degrees=8, decay=1)
    f = rotate_coefficients(g, turn[:, None])
    yield Case("band-limited 16 x 16 x 32", inverse_sht(f), inverse_sht(g), turn)
    fine = Case("random", inverse_sht(f, 32), inverse_sht(g, 32), turn)
    yield fine.pooled("ReLU at 32 x 32, then 16 x 16", lambda maps: spectral_pool(maps.relu()))


def shapes(data: Path) -> Iterator[Case]:
    """Ray lengths, both maps of a pair cast by themselves."""
    from benchmarks.render import load_open_model, open_model_rows
    from stages.raycast import cast
    from stages.raycast.body import prepare

    rows = open_model_rows(data / "openmodels")
    chosen = np.random.default_rng(0).permutation(sorted(rows))[:PAIRS]
    bodies = [prepare(load_open_model(data / "openmodels", rows[name])) for name in chosen]
    turn = Rotation.random(PAIRS, random_state=0).as_matrix()
    first = Rotation.random(PAIRS, random_state=1).as_matrix()

    def rays(res: int) -> Case:
        f, g = (
            torch.as_tensor(np.stack([cast(b, res, matrix=m) for b, m in zip(bodies, all_)]))
            for all_ in (turn @ first, first)
        )
        return Case(f"ray lengths {res} x {res}", f.double(), g.double(), torch.as_tensor(turn))

    def pairs(maps: torch.Tensor) -> torch.Tensor:
        return area_pool(area_pool(maps, centred=False), centred=False)

    yield rays(128)
    yield rays(128).pooled("64 x 64 spectral", spectral_pool)
    yield (coarse := rays(SIZE))
    yield coarse.pooled("16 x 16 spectral", lambda maps: spectral_pool(spectral_pool(maps)))
    yield coarse.pooled("16 x 16 by area", lambda maps: area_pool(area_pool(maps)))
    ignored = coarse.pooled("16 x 16 by 2 x 2, shift ignored", pairs)
    yield ignored
    longitude = 2 * np.pi / 16 * (1 / 2 - 16 / (2 * SIZE))
    yield ignored._replace(name=ignored.name.replace("ignored", "undone"), longitude=longitude)


def accuracies(data: Path) -> Iterator[Row]:
    """A row per case and way to find the rotation."""
    cases = [*fields(), *(shapes(data) if (data / "openmodels").is_dir() else ())]
    for case in cases:
        f, g, n = sht(case.f), sht(case.g), case.f.shape[-1]
        found = {
            way: unshift(align(f, g, max(32, n // 2), starts).rotation, case.longitude)
            for way, starts in (("grid", 0), ("refined", 4))
        }
        if n == 16:
            found["paper's way"] = align_upsampled(
                case.f, case.g, longitude=case.longitude
            ).rotation
        for way, rotation in found.items():
            error = torch.rad2deg(geodesic(rotation, case.turn)).numpy()
            yield {
                "part": "accuracy",
                "method": way,
                "what": case.name,
                "median_deg": f"{np.median(error):.3f}",
                "p90_deg": f"{np.quantile(error, 0.9):.3f}",
                "beyond_5_deg": int((error > 5).sum()),
            }


def main() -> None:
    """Measures and writes the table."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"
    torch.manual_seed(0)
    table = []
    for source in (speeds(), equivariance(), accuracies(data)):
        for row in source:
            table.append(row)
            print(*(f"{value!s:>32}" for value in row.values()), flush=True)
    with (ROOT / "benchmarks" / "sphere.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in table for key in row)))
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main()
