/** Asking the gateway again and again: less often where nobody looks, or where it is asked too much. */

/** How it was answered. */
export interface Reply {
  /** The HTTP status; 0 where there was no answer. */
  readonly status: number;
  /** Seconds after which the gateway wants to be called again; 0 where it says nothing of it. */
  readonly retryAfter: number;
}

/** Milliseconds between two calls, while the page is seen and while it is not. */
const SEEN = 10_000;
const HIDDEN = 60_000;

/** How often the pause is doubled at most. */
const DOUBLINGS = 4;

/** Ask until there is nobody to be told. */
export async function poll(ask: () => Promise<Reply>, gone: AbortSignal): Promise<void> {
  let refusals = 0;
  while (!gone.aborted) {
    const { status, retryAfter } = await ask();
    refusals = status === 429 ? refusals + 1 : 0;
    await rest((hidden) => pause(hidden, refusals, retryAfter), gone);
  }
}

/**
 * How long until the next call.
 *
 * @param hidden Whether the page's tab is not the one that is seen.
 * @param refusals How many calls in a row were too many for the gateway.
 * @param retryAfter As in a `Reply`.
 * @returns Milliseconds.
 */
export function pause(hidden: boolean, refusals: number, retryAfter: number): number {
  const usual = hidden ? HIDDEN : SEEN;
  return Math.max(usual * 2 ** Math.min(refusals, DOUBLINGS), retryAfter * 1000);
}

/** Wait as long as is right, which changes whenever the page is hidden or seen again. */
async function rest(length: (hidden: boolean) => number, gone: AbortSignal): Promise<void> {
  const began = Date.now();
  const over = Promise.withResolvers<void>();
  const done = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = (): void => {
    clearTimeout(timer);
    timer = setTimeout(over.resolve, began + length(document.hidden) - Date.now());
  };
  document.addEventListener("visibilitychange", wait, { signal: done.signal });
  gone.addEventListener("abort", () => over.resolve(), { signal: done.signal });
  if (!gone.aborted) {
    wait();
    await over.promise;
  }
  clearTimeout(timer);
  done.abort();
}
