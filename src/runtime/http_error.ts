/** The error an application throws to answer with a status. Turning it into a response is app/respond.ts. */

export interface HttpErrorDetails {
  /** For programs: snake_case; the default is derived from the status. */
  readonly code?: string;
  readonly headers?: HeadersInit;
  readonly [key: string]: unknown;
}

export class HttpError extends Error {
  readonly status: number;
  readonly details: HttpErrorDetails;

  /** `status` 400–599; anything else is a mistake in the application and says so. */
  constructor(status: number, message: string, details: HttpErrorDetails = {}) {
    super(message);
    if (!Number.isInteger(status) || status < 400 || status > 599) {
      throw new RangeError(`new HttpError(${status}, …): expected a status 400–599`);
    }
    this.name = "HttpError";
    this.status = status;
    this.details = details;
  }
}
