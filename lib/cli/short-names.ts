/** Documented commands that are one verb each, by the name under which bin.ts is called. */
export const shortNames: ReadonlyMap<string, string> = new Map([
  ['fleetsie_gen', 'gen'],
  ['fleetsie_srv', 'srv'],
])
