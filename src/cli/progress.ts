/** @file A progress bar as text, with the time left. */

/** `done` of 1 since `started` (milliseconds of `performance.now`). */
export function progressBar(done: number, started: number, now = performance.now()): string {
  const width = 24;
  const filled = Math.round(done * width);
  const bar = "█".repeat(filled) + "░".repeat(width - filled);
  const left = done > 0 && done < 1 ? `, ${duration(((now - started) * (1 - done)) / done)} left` : "";
  return `${bar} ${Math.floor(done * 100)}%${left}`;
}

/** Milliseconds for people: "850 ms", "12 s", "3 min 5 s", "2 h 4 min". */
export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
