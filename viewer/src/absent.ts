/** Stands for libraries that cornerstone imports for files which Hilum never opens (XML meshes). */
export default {};
export const create = (): never => {
  throw new Error("XML meshes are not part of this viewer");
};
