/** Sending films: files, folders and ZIPs dropped anywhere, a few at a time, each with progress. */
import { computed, signal } from "@preact/signals";
import { BASE, csrfToken, problemOf } from "./api";
import { t } from "./i18n";
import { told } from "./sentences";
import { me } from "./store";
import type { Uploaded } from "./types";

export interface Sent {
  id: number;
  name: string;
  size: number;
  state: "waiting" | "sending" | "stored" | "accepted" | "duplicate" | "rejected";
  share: number;
  detail: string;
  hint: string;
  filmId: string | null;
}

const PARALLEL = 3;
export const uploads = signal<readonly Sent[]>([]);
export const busy = computed(() =>
  uploads.value.some((each) => ["waiting", "sending", "stored"].includes(each.state)),
);

const files = new Map<number, File>();
let counted = 0;
let running = 0;

export function send(given: readonly File[]): void {
  const added = given.map((file): Sent => {
    const id = ++counted;
    files.set(id, file);
    return {
      id, name: file.name, size: file.size, state: "waiting", share: 0, detail: "", hint: "",
      filmId: null,
    };
  });
  uploads.value = [...uploads.value, ...added];
  pump();
}

export const clearUploads = (): void => {
  uploads.value = uploads.value.filter((each) =>
    ["waiting", "sending", "stored"].includes(each.state),
  );
};

function change(id: number, changes: Partial<Sent>): void {
  uploads.value = uploads.value.map((each) => (each.id === id ? { ...each, ...changes } : each));
}

function pump(): void {
  while (running < PARALLEL) {
    const next = uploads.value.find((each) => each.state === "waiting");
    if (!next) return;
    running += 1;
    void one(next).finally(() => {
      files.delete(next.id);
      running -= 1;
      pump();
    });
  }
}

function one({ id, size }: Sent): Promise<void> {
  const file = files.get(id);
  const limit = me.value?.limits.request_mb;
  change(id, { state: "sending" });
  if (!file) return Promise.resolve();
  if (limit && size > limit * 1e6) {
    change(id, { state: "rejected", detail: t("upload.too-large", { limit }) });
    return Promise.resolve();
  }
  return new Promise((done) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${BASE}/films`);
    const token = csrfToken();
    if (token) request.setRequestHeader("X-CSRF-Token", token);
    request.upload.onprogress = ({ loaded, total }) => change(id, { share: total ? loaded / total : 0 });
    request.upload.onload = () => change(id, { share: 1, state: "stored" });
    request.onerror = () => change(id, { state: "rejected", detail: t("error.unreachable") });
    request.onload = () => change(id, outcome(request));
    request.onloadend = () => done();
    const form = new FormData();
    form.append("files", file, file.name);
    request.send(form);
  });
}

/** What became of a file or of the films of a ZIP: the worst is said, the first film is linked. */
function outcome(request: XMLHttpRequest): Partial<Sent> {
  const body = request.responseText;
  const problem = request.status >= 400 ? problemOf(request.status, body) : null;
  const { accepted = [], rejected = [] } = (problem ?? JSON.parse(body)) as Partial<Uploaded>;
  const filmId = accepted[0]?.film_id ?? null;
  const worst = rejected[0] ?? problem;
  if (worst) {
    const many = accepted.length + rejected.length > 1;
    const counts = many
      ? `${t("upload.of", { good: accepted.length, all: accepted.length + rejected.length })} `
      : "";
    const detail = counts + told(worst.detail || worst.title);
    const state = filmId ? "accepted" : "rejected";
    return { state, detail, hint: worst.hint ?? "", filmId: filmId ?? rejected[0]?.film_id ?? null };
  }
  const known = accepted.length > 0 && accepted.every((each) => each.duplicate);
  const said = [
    accepted.length > 1 && t("upload.films", { count: accepted.length }),
    accepted.some((each) => each.replaced) && t("upload.replaced"),
    accepted.some((each) => each.differs) && t("upload.other-header"),
  ];
  const detail = said.filter(Boolean).join("; ");
  return { state: known ? "duplicate" : "accepted", detail, filmId };
}

/** Every file of a drop; folders are walked. */
export async function dropped(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  const found = await Promise.all(
    entries.map(({ entry, file }) => (entry ? walk(entry) : Promise.resolve(file ? [file] : []))),
  );
  return found.flat();
}

async function walk(entry: FileSystemEntry): Promise<File[]> {
  if (entry.name.startsWith(".")) return [];
  if (entry.isFile) {
    return [await new Promise<File>((done, fail) => (entry as FileSystemFileEntry).file(done, fail))];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: File[] = [];
  for (;;) {
    // a browser hands over at most 100 entries at a time; an empty list is the end
    const some = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (some.length === 0) return found;
    for (const each of some) found.push(...(await walk(each)));
  }
}
