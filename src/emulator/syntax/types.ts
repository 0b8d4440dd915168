/**
 * @file The fundamental types of PTX: what a register, a variable or an instruction may be declared as.
 */
export interface PtxType {
  readonly name: string;
  readonly bits: number;
  readonly kind: "bits" | "unsigned" | "signed" | "float" | "predicate";
}

const table: readonly PtxType[] = [
  ...[8, 16, 32, 64, 128].map((bits): PtxType => ({ name: `b${bits}`, bits, kind: "bits" })),
  ...[8, 16, 32, 64].map((bits): PtxType => ({ name: `u${bits}`, bits, kind: "unsigned" })),
  ...[8, 16, 32, 64].map((bits): PtxType => ({ name: `s${bits}`, bits, kind: "signed" })),
  { name: "f16", bits: 16, kind: "float" },
  { name: "bf16", bits: 16, kind: "float" },
  { name: "f16x2", bits: 32, kind: "float" },
  { name: "bf16x2", bits: 32, kind: "float" },
  { name: "tf32", bits: 32, kind: "float" },
  { name: "f32", bits: 32, kind: "float" },
  { name: "f64", bits: 64, kind: "float" },
  { name: "pred", bits: 1, kind: "predicate" },
];

/** By name, without the dot. */
export const ptxTypes: ReadonlyMap<string, PtxType> = new Map(table.map((type) => [type.name, type]));
