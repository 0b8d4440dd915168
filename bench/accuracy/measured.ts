/** @file What the children of suite `accuracy` are asked and what they answer. */

/** The interpreter, WebGPU on one kind of adapter, PTX in the emulator. */
export type BackendName = "cpu" | "hardware" | "lavapipe" | "swiftshader" | "ptx";
export const backendNames: readonly BackendName[] = ["cpu", "hardware", "lavapipe", "swiftshader", "ptx"];

export interface AccuracyInput {
  readonly backend: BackendName;
  /** Only cases whose title contains this. */
  readonly filter: string;
}

/** Errors as shares of the allowed error: at most 1 is right. */
export interface CaseAccuracy {
  readonly title: string;
  readonly out: number;
  readonly lse: number;
}

/** A case without numbers failed altogether. */
export interface CaseFailure {
  readonly title: string;
  readonly error: string;
}

export type CaseResult = CaseAccuracy | CaseFailure;

/** A backend that is not on this machine says why. */
export type AccuracyResult =
  | { readonly device: string; readonly cases: readonly CaseResult[] }
  | { readonly missing: string };
