/**
 * Layers: the changes to one partition as a deterministic tar with OCI whiteouts (`.wh.NAME`, `.wh..wh..opq`).
 * Source: OCI image specification, "Image Layer Filesystem Changeset".
 */
export type { LayerAttributes, LayerEntry, LayerInput, LayerMember } from './layer/entry.ts'
export { compareEntries, compareText } from './layer/order.ts'
export { readLayer } from './layer/read.ts'
export { writeLayer } from './layer/write.ts'
