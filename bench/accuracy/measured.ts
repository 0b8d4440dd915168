/** @file What the children of suites `accuracy` and `grid` are asked and what they answer. */
import type { FloatDType } from "../../src/kernels/index.ts";
import type { Device } from "../../src/runtime/index.ts";
import type { GridFamily, GridSizes } from "../../test/kernels/flag-attention-grid.ts";

/** The interpreter, WebGPU on one kind of adapter, PTX in the emulator. */
export type BackendName = "cpu" | "hardware" | "lavapipe" | "swiftshader" | "ptx";
export const backendNames: readonly BackendName[] = ["cpu", "hardware", "lavapipe", "swiftshader", "ptx"];

/** Where results are written as they come, and those that this revision has found before are taken from. */
interface Remembered {
  readonly journal?: string;
  readonly revision: string;
}

export interface AccuracyInput extends Remembered {
  readonly backend: BackendName;
  /** Only cases whose family and title contain this, and of each family every so many-th. */
  readonly filter: string;
  readonly every: number;
}

interface Named {
  readonly family: string;
  readonly dtype: FloatDType;
  readonly title: string;
}

/** A case of a conformance test, and how it is run. */
export type AnyCase = Named & { readonly run: (device: Device) => Promise<Readonly<Record<string, number>>> };

/** Errors as shares of the allowed error, by the result's name: at most 1 is right. A case without them failed altogether. */
export type CaseResult = Named & ({ readonly shares: Readonly<Record<string, number>> } | { readonly error: string });

/** A backend that is not on this machine says why. */
export type AccuracyResult =
  | { readonly device: string; readonly cases: readonly CaseResult[] }
  | { readonly missing: string };

export interface GridInput extends Remembered {
  readonly backend: BackendName;
  readonly sizes: GridSizes;
  /** Only units whose family and title contain this, and of those every so many-th. */
  readonly filter: string;
  readonly every: number;
  /** No unit is begun after so many. */
  readonly minutes?: number;
}

/** A unit of the grid (flag-attention-grid.ts), and its shares of the allowed error by result; or what went wrong. */
export type UnitResult = {
  readonly family: GridFamily;
  readonly title: string;
  readonly cells: number;
  readonly scaled?: string;
  readonly seconds: number;
} & ({ readonly shares: Readonly<Record<string, number>> } | { readonly error: string });

export type GridResult =
  | { readonly device: string; readonly units: readonly UnitResult[] }
  | { readonly missing: string };
