/** Limits that options name, apart from what they limit, so that a pipeline loads no more than it needs. */

/** What an image may be at most, bytes: its manifest stays below 20 MB. */
export const maxImageSize = 256 * 1024 ** 3
