/**
 * @file Bytes with a view of each width: an allocation of global memory, the shared memory of a block, the local memory of a warp.
 */
export class Region {
  readonly byteLength: number;
  readonly u8: Uint8Array;
  readonly i8: Int8Array;
  readonly u16: Uint16Array;
  readonly i16: Int16Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly f32: Float32Array;

  /** The views are as long as the next multiple of 16 bytes; `byteLength` is exact. */
  constructor(byteLength: number) {
    this.byteLength = byteLength;
    const buffer = new ArrayBuffer(Math.ceil(byteLength / 16) * 16);
    this.u8 = new Uint8Array(buffer);
    this.i8 = new Int8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.i16 = new Int16Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.f32 = new Float32Array(buffer);
  }
}
