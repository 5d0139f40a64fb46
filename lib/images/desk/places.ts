/** Where things are in a desk's folder. All names are relative to it. */

/** All that is ours alone: work folders, copies, the lock. */
export const privateFolder = '.desk'
/** A link to the image: its own name may have characters that have a meaning in options of mount programs. */
export const imageLink = `${privateFolder}/image`

export const originalPlace = (number: number): string => `original/part_${number}`
export const upperPlace = (number: number): string => `.new_${number}`
export const mergedPlace = (number: number): string => `part_${number}`
/** The link that the document also speaks of. */
export const mergedLink = (number: number): string => `merged/part_${number}`
export const workPlace = (number: number): string => `${privateFolder}/work_${number}`
export const copyPlace = (number: number): string => `${privateFolder}/fat_${number}`
export const lockPlace = `${privateFolder}/lock`
