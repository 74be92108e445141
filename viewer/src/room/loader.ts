/**
 * Image loader: films of the server as cornerstone images, at their full stored depth.
 *
 * A film is one block of 16-bit numbers with a header in JSON, whatever its file was (DICOM, PNG,
 * JPEG). Pixel (0, 0) has its center at the origin of the world; the world is in millimeters where
 * the spacing is known, else in pixels.
 */
import { cache, Enums, imageLoader, metaData, utilities, type Types } from "@cornerstonejs/core";
import { api } from "../core/api";
import type { ImageAnswer, Preset } from "../core/types";

const SCHEME = "hilum";
/** Some forty large films; older ones are dropped. */
const CACHE_BYTES = 768 * 1024 * 1024;
const films = new Map<string, ImageAnswer>();

export const imageIdOf = (filmId: string): string => `${SCHEME}:${filmId}`;
const filmIdOf = (imageId: string): string => imageId.slice(SCHEME.length + 1);

/** Spacing of the world: (row, column) in mm, or 1 where it is not known. */
export function spacingOf(film: ImageAnswer): [number, number] {
  return film.spacing_mm ? [film.spacing_mm[0], film.spacing_mm[1]] : [1, 1];
}

/** The window that a film opens with: the preset that the server names, else its whole range. */
export function defaultWindow(film: ImageAnswer): { center: number; width: number } {
  const preset: Preset | undefined =
    film.presets.find((each) => each.name === film.default) ?? film.presets[0];
  if (preset) return { center: preset.center, width: preset.width };
  return { center: (film.min + film.max) / 2, width: Math.max(film.max - film.min, 1) };
}

export function registerFilms(): void {
  imageLoader.registerImageLoader(SCHEME, (imageId: string) => ({
    promise: load(imageId),
  }));
  metaData.addProvider(describe, 10);
  cache.setMaxCacheSize(CACHE_BYTES);
}

/** Fetch the header of a film, once. */
export async function filmImage(filmId: string): Promise<ImageAnswer> {
  const known = films.get(filmId);
  if (known) return known;
  const film = await api.image(filmId);
  films.set(filmId, film);
  return film;
}

/** The film that comes next, fetched while this one is looked at; never more than one. */
let next: { filmId: string; pixels: Promise<Uint16Array<ArrayBuffer>>; there: Promise<boolean> } | null = null;

/** Done when the film is here; false where it cannot be had: whoever opens it is told why. */
export function fetchAhead(filmId: string): Promise<boolean> {
  if (cache.getImageLoadObject(imageIdOf(filmId))) return Promise.resolve(true);
  if (next?.filmId === filmId) return next.there;
  const pixels = api.pixels(filmId, true);
  const there = Promise.all([films.get(filmId) ?? api.image(filmId, true), pixels]).then(
    ([film]) => {
      films.set(filmId, film);
      return true;
    },
    () => {
      if (next?.pixels === pixels) next = null;
      return false;
    },
  );
  next = { filmId, pixels, there };
  return there;
}

function pixelsOf(filmId: string): Promise<Uint16Array<ArrayBuffer>> {
  if (next?.filmId !== filmId) return api.pixels(filmId);
  const { pixels } = next;
  next = null;
  return pixels.catch(() => api.pixels(filmId));
}

/** The header of the film that cornerstone names in a drawing ("imageId:hilum:..."). */
export const filmOf = (target: string): ImageAnswer | undefined =>
  films.get(filmIdOf(target.slice(target.indexOf(`${SCHEME}:`))));

/** Fetch a film anew when it is next asked for. */
export function forget(filmId: string): void {
  films.delete(filmId);
  if (next?.filmId === filmId) next = null;
  const imageId = imageIdOf(filmId);
  if (cache.getImageLoadObject(imageId)) cache.removeImageLoadObject(imageId);
}

async function load(imageId: string): Promise<Types.IImage> {
  const filmId = filmIdOf(imageId);
  const [film, pixels] = await Promise.all([filmImage(filmId), pixelsOf(filmId)]);
  const { rows, columns } = film;
  if (pixels.length !== rows * columns) {
    throw new Error(`${pixels.length} pixels; expected ${rows} x ${columns}`);
  }
  const [rowSpacing, columnSpacing] = spacingOf(film);
  const window = defaultWindow(film);
  return {
    imageId,
    rows,
    columns,
    height: rows,
    width: columns,
    getPixelData: () => pixels,
    getCanvas: () => document.createElement("canvas"), // asked for of color pictures alone
    voxelManager: utilities.VoxelManager.createImageVoxelManager({
      width: columns,
      height: rows,
      numberOfComponents: 1,
      scalarData: pixels,
    }),
    dataType: "Uint16Array" as const,
    minPixelValue: film.min,
    maxPixelValue: film.max,
    slope: 1,
    intercept: 0,
    windowCenter: window.center,
    windowWidth: window.width,
    voiLUTFunction: Enums.VOILUTFunctionType.LINEAR,
    color: false,
    rgba: false,
    numberOfComponents: 1,
    rowPixelSpacing: rowSpacing,
    columnPixelSpacing: columnSpacing,
    invert: false,
    photometricInterpretation: "MONOCHROME2",
    sizeInBytes: pixels.byteLength,
  };
}

/** Answer cornerstone's questions about a film, under the names that it asks with. */
function describe(type: string, imageId: string): unknown {
  if (typeof imageId !== "string" || !imageId.startsWith(`${SCHEME}:`)) return undefined;
  const film = films.get(filmIdOf(imageId));
  if (!film) return undefined;
  const [row, column] = spacingOf(film);
  const window = defaultWindow(film);
  switch (type) {
    case "imagePlaneModule":
      return {
        rows: film.rows,
        columns: film.columns,
        imageOrientationPatient: [1, 0, 0, 0, 1, 0],
        rowCosines: [1, 0, 0],
        columnCosines: [0, 1, 0],
        imagePositionPatient: [0, 0, 0],
        pixelSpacing: film.spacing_mm ? [row, column] : undefined,
        rowPixelSpacing: film.spacing_mm ? row : undefined,
        columnPixelSpacing: film.spacing_mm ? column : undefined,
        frameOfReferenceUID: imageId,
        sliceThickness: 1,
        sliceLocation: 0,
      };
    case "imagePixelModule":
      return {
        bitsAllocated: 16,
        bitsStored: 16,
        highBit: 15,
        pixelRepresentation: 0,
        samplesPerPixel: 1,
        photometricInterpretation: "MONOCHROME2",
        rows: film.rows,
        columns: film.columns,
      };
    case "voiLutModule":
      return { windowCenter: [window.center], windowWidth: [window.width] };
    case "generalSeriesModule":
      return { modality: "DX", seriesInstanceUID: imageId };
    case "modalityLutModule":
      return { rescaleSlope: 1, rescaleIntercept: 0 };
    default:
      return undefined;
  }
}
