/**
 * @file What a caller sees of a loaded module: its entries, their parameters and needs.
 */
export interface PtxParameter {
  readonly name: string;
  /** Bytes from the start of the parameter buffer. */
  readonly offset: number;
  readonly size: number;
  readonly alignment: number;
}

export interface PtxEntry {
  readonly name: string;
  readonly parameters: readonly PtxParameter[];
  /** Length of the packed parameter buffer. */
  readonly parameterBytes: number;
  /** Bytes of `.shared` variables with a size; dynamic shared memory comes on top. */
  readonly staticSharedBytes: number;
  /** `.maxntid`, if given. */
  readonly maxThreads?: readonly [number, number, number];
}

export interface PtxModule {
  readonly target: string;
  readonly entries: ReadonlyMap<string, PtxEntry>;
}
