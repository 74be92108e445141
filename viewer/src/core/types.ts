/** What the server says, as the browser sees it; docs/reference/api.md describes every field. */

export type Status = "queued" | "reading" | "read" | "refused" | "error";
export type Role = "metrics" | "reader" | "reviewer" | "administrator";
export type Box = [number, number, number, number];
export type Point = [number, number];

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  hint?: string | null;
  sign_in?: SignIn;
}

export interface Estimate {
  value: number | null;
  low: number | null;
  high: number | null;
  n: number;
  note?: string;
}

export interface Finding {
  label: string;
  code: string | null;
  logit: number;
  score: number;
  probability: number;
  calibration: string;
  present: boolean;
  operating_point: string;
  threshold: number;
  prevalence: number | null;
  prediction_set: "present" | "absent" | "indeterminate" | "none" | null;
  coverage: number | null;
  in_lung_share: number | null;
  answer: ModelAnswer;
}
/** The one headline of a finding; it contradicts neither threshold, set nor probability. */
export type ModelAnswer = "present" | "absent" | "cannot-say";

export interface Refusal {
  code: string;
  measured: string;
  value: number | null;
  limit: number | null;
  hint: string;
}

export interface Lung {
  side: "right" | "left";
  area: number;
  box: Box;
  outline: Point[];
}
export interface Affected {
  side: "right" | "left" | null;
  zone: "upper" | "middle" | "lower" | null;
  share: number;
  kinds: Record<string, number>;
}
export interface Lesion {
  kind: string;
  area: number;
  score: number;
  box: Box;
  outline: Point[];
}
export interface OpacityBox {
  box: Box;
  score: number;
}
export interface Severity {
  scale: string;
  value: number;
  low: number;
  high: number;
  coverage: number;
  minimum: number;
  maximum: number;
  notice: string;
}
export interface Similar {
  case_id: string;
  cohort: string;
  distance: number;
  labels: Record<string, number>;
  film_id?: string | null;
}
export interface Details {
  lungs: Lung[];
  affected: Affected[];
  lesions: Lesion[];
  boxes: OpacityBox[];
  severity: Severity[];
  similar: Similar[];
}

export interface Reading {
  schema_version: string;
  path: string;
  status: "read" | "refused" | "error";
  reason: string | null;
  hint: string | null;
  refusal: Refusal | null;
  forced: boolean;
  findings: Finding[];
  details: Details | null;
  bundle: string;
  elapsed_ms: number;
  film: Record<string, unknown>;
  history: string[];
  notes: string[];
  notice: string;
}

export interface Preset {
  name: string;
  center: number;
  width: number;
  low: number;
  high: number;
}
export interface Ruler {
  points: [[number, number], [number, number]];
  mm: number;
  by: string;
  at: string;
}

export interface FilmImage {
  rows: number;
  columns: number;
  bits: number;
  min: number;
  max: number;
  slope: number;
  intercept: number;
  /** Towards what part of the patient rows and columns run: L, R, A, P, H or F. */
  orientation: [string, string] | null;
  sides: "stated" | "assumed";
  spacing_mm: [number, number] | null;
  spacing_plane: "patient" | "detector" | null;
  spacing_source: string | null;
  /** A line whose length a person knew; the spacing is by it. */
  ruler: Ruler | null;
  inverted: boolean;
  corrected: string[];
  presets: Preset[];
  default: string;
  metadata: Record<string, unknown>;
  notes: string[];
}

export interface Film {
  film_id: string;
  study_id: string;
  name: string;
  status: Status;
  format: string | null;
  view: string | null;
  size: number;
  created_at: string;
  read_at: string | null;
  reading_id: string | null;
  blind_pending: boolean;
  /** Findings that this person still has to answer before the model's answers are shown. */
  blind_owed: string[];
}

export interface Answer {
  film_id: string;
  status: Status;
  reading_id: string | null;
  read_at: string | null;
  queue_ahead: number;
  bundle: string | null;
  site: string | null;
  reading: Reading | null;
  /** Where the picture of each of `reading.details.similar` is, in their order; null where there is none. */
  similar_pictures?: (string | null)[];
}

export interface HeatmapInfo {
  label: string;
  f32: string;
  rows: number;
  columns: number;
  low: number;
  high: number;
  limit: number;
  unit: string;
}
export interface Overlays {
  rows: number;
  columns: number;
  lungs: { side: "right" | "left" | null; outline: Point[] }[];
  lesions: Lesion[];
  boxes: OpacityBox[];
  heatmaps: HeatmapInfo[];
}

export interface StudyItem {
  study_id: string;
  status: Status;
  created_at: string;
  read_at: string | null;
  study_date: string | null;
  name: string;
  view: string | null;
  films: number;
  film_id: string;
  patient: { id: string | null; sex: string | null; age_years: number | null };
  findings: Pick<Finding, "label" | "probability" | "present" | "prediction_set" | "answer">[];
  refusal: string | Refusal | null;
  priority: number | null;
  reviewed: boolean;
  verdicts: number;
  reports: number;
  blind_pending: boolean;
}
export interface StudyPage {
  items: StudyItem[];
  total: number;
  next: string | null;
  counts: Partial<Record<Status, number>>;
}
export interface Study extends Omit<StudyItem, "films" | "verdicts" | "reports"> {
  films: Film[];
  prior: StudyItem[];
  verdicts: Verdict[];
  reports: Report[];
}

export type Call = "present" | "absent" | "unsure";
export interface Mark {
  kind: "point" | "line" | "ellipse" | "rectangle" | "polygon";
  points: Point[];
  text?: string;
}
/** What a person has begun on a film and not given yet, as the server keeps it. */
export interface OnDesk {
  version: number;
  choices: Record<string, Call>;
  text: string;
  corrected_label: string | null;
  blind: boolean;
  marks: Mark[];
}
export interface NewVerdict {
  finding: string;
  verdict: Call;
  text: string;
  corrected_label: string | null;
  blind: boolean;
  marks: Mark[];
}
export interface Verdict extends Omit<NewVerdict, "verdict"> {
  /** Unknown: an agreement of old with an answer that cannot be told any more. */
  verdict: Call | "unknown";
  verdict_id: string;
  film_id: string;
  by: string;
  at: string;
  call: "present" | "absent" | null;
}
export interface Reference {
  finding: string;
  value: 0 | 1 | null;
  standard: string;
}

export interface ReportText {
  title: string;
  indication: string;
  technique: string;
  comparison: string;
  findings: string;
  impression: string;
  language: string;
}
export interface Report extends ReportText {
  report_id: string;
  film_id: string;
  version: number;
  by: string;
  at: string;
  reading_id: string;
}

export interface OperatingPoint {
  name: string;
  threshold: number;
  sensitivity: Estimate;
  specificity: Estimate;
  chosen_on: string;
  rule: string;
}
export interface BundleLabel {
  label: string;
  calibration: string;
  prevalence: number | null;
  coverage: number | null;
  operating_points: OperatingPoint[];
}
export interface BundleInfo {
  identity: string;
  name: string;
  version: string;
  checksum: string;
  site: string | null;
  calibrated: boolean;
  intended_use: string;
  labels: BundleLabel[];
}
export interface Me {
  name: string;
  role: Role;
  local: boolean;
  blind: boolean;
  csrf: string | null;
  notice: string;
  version: string;
  bundle: BundleInfo | null;
  labels: string[];
  bundle_error: string | null;
  idle_minutes: number;
  limits: { file_mb: number; request_mb: number; files: number; megapixels: number };
}
export interface SignIn {
  password: boolean;
  oidc: string | null;
  link: boolean;
}

/** Studies by their ids, or everything of a patient. */
export type ToDelete = { study_ids: string[] } | { patient_id: string };
export interface Deleted {
  studies: number;
  films: number;
  readings: number;
  verdicts: number;
  marks: number;
  reference_standards: number;
  unfinished: number;
  rulers: number;
  reports: number;
  first_at: string | null;
  last_at: string | null;
  confirm: string;
}

export interface Accepted {
  film_id: string;
  study_id: string;
  name: string;
  duplicate: boolean;
  /** How a film that is kept differs from what came again under its UID. */
  differs: "header" | null;
  /** What was kept before could not be opened. */
  replaced: boolean;
}
export interface Uploaded {
  accepted: Accepted[];
  rejected: (Problem & { name: string; film_id: string | null })[];
}

export interface Agreement {
  label: string;
  films: number;
  reviewers: number;
  kappa: Estimate;
  blind_kappa: Estimate;
  agreement: Estimate;
  changed_after_reading: Estimate;
  machine: { sensitivity: Estimate; specificity: Estimate };
  human: { sensitivity: Estimate; specificity: Estimate };
  blind_human: { sensitivity: Estimate; specificity: Estimate };
  counts: {
    both_present: number;
    only_machine: number;
    only_human: number;
    both_absent: number;
    unsure: number;
    cannot_say: number;
  };
}

export interface LabelAdaptation {
  label: string;
  films: number;
  positives: number;
  negatives: number;
  before: Record<string, Estimate>;
  after: Record<string, Estimate>;
}
export interface Adaptation {
  site: string;
  created?: string;
  films: number;
  patients: number;
  not_read: number;
  labels: LabelAdaptation[];
  kept: Record<string, string>;
  leak_check: string;
}
export interface Candidate {
  candidate_id: string;
  identity: string;
  checksum: string;
  adaptation: Adaptation;
}
/** Where the truth of a case comes from: a reference standard, or also the reviewers' verdicts. */
export type Source = "reference" | "verdicts";
export interface Calibration {
  active: { identity: string; candidate_id: string | null; adaptation: Adaptation | null } | null;
  previous: { base: boolean; candidate_id: string | null } | null;
  candidates: Candidate[];
  available: Record<Source, Record<string, { positives: number; negatives: number; needed: number }>>;
}

export interface Monitoring {
  days: {
    day: string;
    films: number;
    read: number;
    refused: number;
    error: number;
    latency_ms: { p50: number | null; p95: number | null };
  }[];
  refusals: Record<string, number>;
  films: number;
  refusal_rate: number | null;
  scores: {
    label: string;
    edges: number[];
    site: number[];
    validation: number[];
    n: number;
    psi: number | null;
    limit: number;
    alarm: boolean;
    note: string;
  };
  agreement: { week: string; films: number; agreement: number | null; kappa: number | null }[];
}

export interface LogLine {
  seq: number;
  at: string;
  who: string;
  action: string;
  film_id: string | null;
  study_id: string | null;
  bundle: string | null;
  data: Record<string, unknown> | null;
  hash: string;
}
export interface User {
  user_id: string;
  name: string;
  role: Role;
  disabled: boolean;
  created_at?: string;
}
export interface Token {
  token_id: string;
  user_id: string;
  name: string;
  user?: string;
  created_at?: string;
  used_at?: string | null;
  token?: string;
}
