# SPDX-License-Identifier: Apache-2.0
"""Measures the striatum in de-identified DaT-SPECT slices: one row a patient.

Reads the table of images (one row an image, `_object` is its file) and the images themselves; writes patient_id,
putamen_ratio (specific over non-specific binding) and asymmetry (difference of the sides over their sum).
"""
import os
import pathlib

import numpy as np
import pandas as pd
import pydicom

inputs = pathlib.Path(os.environ.get("FATHOM_INPUTS", "inputs")) / "scans"
output = pathlib.Path(os.environ.get("FATHOM_OUTPUT", "output"))


def masks(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:rows, 0:columns]
    dx, dy = x - (columns - 1) / 2, y - (rows - 1) / 2
    putamen = (np.abs(dx) - 10) ** 2 / 6 + (dy + 1) ** 2 / 18 <= 1
    occiput = (dx**2 / 100 + (dy - 20) ** 2 / 16) <= 1
    return putamen & (dx < 0), putamen & (dx > 0), occiput


def measure(pixels: np.ndarray) -> tuple[float, float]:
    left, right, occiput = masks(*pixels.shape)
    background = pixels[occiput].mean()
    a, b = pixels[left].mean() / background, pixels[right].mean() / background
    return (a + b) / 2, abs(a - b) / (a + b)


table = pd.concat(pd.read_parquet(file) for file in sorted(inputs.glob("*.parquet")))
rows = []
for patient, images in table.groupby("PatientID"):
    measured = [
        measure(pydicom.dcmread(inputs / "objects" / name).pixel_array.astype(float)) for name in sorted(images["_object"])
    ]
    ratio, asymmetry = np.mean(measured, axis=0)
    rows.append({"patient_id": patient, "putamen_ratio": ratio, "asymmetry": asymmetry, "slices": len(measured)})

result = pd.DataFrame(rows).sort_values("patient_id", ignore_index=True)
output.mkdir(parents=True, exist_ok=True)
result.to_parquet(output / "data.parquet", index=False)
print(f"measured {int(result['slices'].sum())} slices of {len(result)} patients")
