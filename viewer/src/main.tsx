/** The start: who is signed in, then the page that the address names. */
import "./core/leave";
import { effect } from "@preact/signals";
import { render, type ComponentType } from "preact";
import { lazy, Suspense } from "preact/compat";
import { useErrorBoundary } from "preact/hooks";
import { connect, disconnect } from "./core/events";
import { t } from "./core/i18n";
import { begin, watchIdle } from "./core/idle";
import {
  asApiError, locked, may, me, paint, route, signIn, startError, whoAmI,
} from "./core/store";
import type { Role } from "./core/types";
import { ErrorPage } from "./pages/error";
import { Lock } from "./pages/lock";
import { LoginPage } from "./pages/login";
import { WorklistPage } from "./pages/worklist";
import { Shell } from "./parts/shell";
import { Loading, Trouble } from "./parts/ui";
import "./styles/base.css";
import "./styles/worklist.css";
import "./styles/room.css";
import "./styles/pages.css";

interface Entry {
  page: ComponentType;
  needs: Role;
}

const PAGES: Record<string, Entry> = {
  "": { page: WorklistPage, needs: "reader" },
  film: { page: lazy(() => import("./pages/room").then((all) => all.RoomPage)), needs: "reader" },
  lists: {
    page: lazy(() => import("./pages/lists").then((all) => all.ListsPage)),
    needs: "reader",
  },
  agreement: {
    page: lazy(() => import("./pages/agreement").then((all) => all.AgreementPage)),
    needs: "reader",
  },
  monitoring: {
    page: lazy(() => import("./pages/monitoring").then((all) => all.MonitoringPage)),
    needs: "reader",
  },
  calibration: {
    page: lazy(() => import("./pages/calibration").then((all) => all.CalibrationPage)),
    needs: "administrator",
  },
  users: {
    page: lazy(() => import("./pages/users").then((all) => all.UsersPage)),
    needs: "administrator",
  },
  trash: {
    page: lazy(() => import("./pages/trash").then((all) => all.TrashPage)),
    needs: "administrator",
  },
  log: {
    page: lazy(() => import("./pages/log").then((all) => all.LogPage)),
    needs: "administrator",
  },
};

function Current() {
  const name = route.value.path[0] ?? "";
  const entry = PAGES[name];
  if (!entry) return <ErrorPage kind="not-found" />;
  if (!may(entry.needs)) return <ErrorPage kind="not-allowed" />;
  return <Guarded key={name} page={entry.page} />;
}

/** A page that fails says so, and leaves the bar and the notice standing. */
function Guarded({ page: Chosen }: { page: ComponentType }) {
  const [failed, again] = useErrorBoundary();
  if (failed) {
    return (
      <main class="page" id="main" tabIndex={-1}>
        <h1>{t("error.title")}</h1>
        <Trouble error={asApiError(failed)} again={again} />
      </main>
    );
  }
  return (
    <Suspense fallback={<Loading />}>
      <Chosen />
    </Suspense>
  );
}

function App() {
  if (startError.value) {
    return (
      <main class="page" id="main">
        <h1>Hilum</h1>
        <p class="notice-line">{t("notice")}</p>
        <Trouble error={startError.value} again={() => void whoAmI()} />
      </main>
    );
  }
  if (signIn.value && !me.value) return <LoginPage />;
  if (!me.value) return <Loading />;
  return (
    <>
      <Shell>
        <Current />
      </Shell>
      {locked.value && <Lock />}
    </>
  );
}

/** The room is what is opened next: fetch it while nothing else is to be done. */
function fetchRoom(): void {
  const whenIdle = window.requestIdleCallback ?? ((work: () => void) => setTimeout(work, 1000));
  whenIdle(() => {
    // what cannot be had now is fetched, or complained of, when it is opened
    Promise.all([import("./pages/room"), import("./room/filmview")]).catch(() => undefined);
  });
}

paint();
effect(() => {
  if (!me.value || locked.value) return disconnect();
  begin();
  connect();
});
watchIdle();
const root = document.getElementById("app");
if (root) render(<App />, root);
void whoAmI().then(fetchRoom);
