/**
 * Whether somebody is there: after some minutes without a key, a click or a film that is being sent,
 * the page is covered and its session ends.
 *
 * The tabs of a browser share one session and so one clock, in its storage. While somebody is there
 * the server is told once a minute, for it ends a session that nobody uses, too.
 */
import { api } from "./api";
import { locked, lock, me, unlock } from "./store";
import { busy } from "./upload";

const LAST = "hilum-last-used";
const NOTED_MS = 1_000;
const TOLD_MS = 60_000;
const SIGNS = ["keydown", "pointerdown", "pointermove", "wheel", "touchstart"] as const;

let here = Date.now();
let told = Date.now();

function used(): void {
  if (locked.value) return;
  const now = Date.now();
  if (now - here > NOTED_MS) localStorage.setItem(LAST, String(now));
  here = now;
}

const last = (): number => Math.max(here, Number(localStorage.getItem(LAST)) || 0);

function look(): void {
  if (!me.value || locked.value) return;
  if (busy.value) used();
  const now = Date.now();
  if (now - last() > me.value.idle_minutes * 60_000) void lock();
  else if (here > told && now - told > TOLD_MS) {
    told = now;
    api.me().catch(() => undefined); // what is wrong is said at the next thing that is asked for
  }
}

export function watchIdle(): void {
  for (const sign of SIGNS) addEventListener(sign, used, { capture: true, passive: true });
  document.addEventListener("visibilitychange", () => {
    look(); // before anybody sees a page that slept
    // the tabs of a browser share one session: somebody else may have signed in in another one
    if (document.visibilityState === "visible" && me.value && !locked.value) void unlock();
  });
  setInterval(look, NOTED_MS);
}

/** Count from now: who has just signed in is there. */
export function begin(): void {
  here = told = Date.now();
  localStorage.setItem(LAST, String(here));
}
