/**
 * @file What accesses to memory cost. Shared memory has 32 banks of one word: a request serves 32 lanes of up to 4 bytes, 16 of 8 or 8 of
 * 16, and takes as many wavefronts as the fullest bank has different words; of atomics, as it has updates, for those of one word are serialised
 * (CUDA Programming Guide, "Hardware Implementation"). Global memory is moved in sectors of 32 bytes.
 */
import { LANES } from "./registers.ts";

const BANKS = 32;
const SECTOR_SHIFT = 5;
const SECTOR_BYTES = 1 << SECTOR_SHIFT;
const units = new Int32Array(BANKS * LANES);
const depths = new Uint8Array(BANKS);
const sorted = new Int32Array(LANES);

/** What one instruction has cost so far. */
export interface AccessCount {
  /** Shared memory: requests; global memory: sectors that would hold the bytes. */
  least: number;
  /** Shared memory: wavefronts; global memory: sectors. */
  actual: number;
}

/** Adds an access of `bytes` bytes by each lane of `mask`, at offsets into shared memory; `updates`: an atomic. */
export function countWavefronts(
  count: AccessCount,
  mask: number,
  offsets: Int32Array,
  bytes: number,
  updates = false,
): void {
  // Banks as wide as the access: a lane has one unit in one bank, and a request serves as many lanes as there are banks.
  const shift = bytes <= 4 ? 2 : bytes === 8 ? 3 : 4;
  const banks = (BANKS * 4) >> shift;
  for (let first = 0; first < LANES; first += banks) {
    let most = 0;
    depths.fill(0);
    for (let lane = first; lane < first + banks; lane++) {
      if (!((mask >>> lane) & 1)) continue;
      const unit = offsets[lane]! >> shift;
      const bank = unit & (banks - 1);
      const depth = depths[bank]!;
      let at = updates ? depth : 0;
      while (at < depth && units[bank * LANES + at] !== unit) at++;
      if (at < depth) continue;
      units[bank * LANES + depth] = unit;
      depths[bank] = depth + 1;
      if (depth >= most) most = depth + 1;
    }
    if (most === 0) continue;
    count.least++;
    count.actual += most;
  }
}

/** Adds an access of `bytes` bytes by each lane of `mask`, at offsets into an allocation, which starts with a sector. */
export function countSectors(count: AccessCount, mask: number, offsets: Int32Array, bytes: number): void {
  let lanes = 0;
  let ascending = true;
  for (let lane = 0; lane < LANES; lane++) {
    if (!((mask >>> lane) & 1)) continue;
    const offset = offsets[lane]!;
    if (lanes > 0 && offset < sorted[lanes - 1]!) ascending = false;
    sorted[lanes++] = offset;
  }
  if (!ascending) sorted.subarray(0, lanes).sort();
  let places = 0;
  let sectors = 0;
  let [place, sector] = [-1, -1];
  for (let at = 0; at < lanes; at++) {
    if (sorted[at] === place) continue;
    place = sorted[at]!;
    places++;
    // An access is aligned, so it lies in one sector.
    if (place >> SECTOR_SHIFT === sector) continue;
    sector = place >> SECTOR_SHIFT;
    sectors++;
  }
  count.least += Math.ceil((places * bytes) / SECTOR_BYTES);
  count.actual += sectors;
}
