/**
 * @file Bank conflicts of shared memory: 32 banks of one word. A request serves 32 lanes of up to 4 bytes, 16 of 8 or 8 of 16; it takes as
 * many wavefronts as the fullest bank has different words.
 */
import { LANES } from "./registers.ts";

const BANKS = 32;
const words = new Int32Array(BANKS * LANES * 2);
const counts = new Uint8Array(BANKS);

/** What one instruction has cost so far. */
export interface BankCount {
  accesses: number;
  wavefronts: number;
}

/** Adds an access of `bytes` bytes by each lane of `mask`, at offsets into shared memory. */
export function countWavefronts(count: BankCount, mask: number, offsets: Int32Array, bytes: number): void {
  const perRequest = bytes <= 4 ? 32 : bytes === 8 ? 16 : 8;
  for (let first = 0; first < LANES; first += perRequest) {
    const lanes = perRequest === 32 ? mask : (mask >>> first) & ((1 << perRequest) - 1);
    if (lanes === 0) continue;
    counts.fill(0);
    let most = 0;
    for (let lane = 0; lane < perRequest; lane++) {
      if (!((lanes >>> lane) & 1)) continue;
      const start = offsets[first + lane]! >> 2;
      for (let word = start; word === start || word * 4 < offsets[first + lane]! + bytes; word++) {
        const bank = word & (BANKS - 1);
        const from = bank * LANES * 2;
        const seen = counts[bank]!;
        let at = 0;
        while (at < seen && words[from + at] !== word) at++;
        if (at < seen) continue;
        words[from + seen] = word;
        counts[bank] = seen + 1;
        if (seen + 1 > most) most = seen + 1;
      }
    }
    count.accesses++;
    count.wavefronts += most;
  }
}
