// The large body that backend.ts gives to a GET of this path, and takes from a POST.

export const bodyPath = "/body";
export const bodyBytes = 1024 * 1024;
