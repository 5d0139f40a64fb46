/** How debugfs is told of a file. */

/** Before a name: without it, `<12>` would be inode 12, and a leading '-' an option. */
export const here = (name: string): string => `./${name}`

export const byNumber = (inode: number): string => `<${inode}>`
