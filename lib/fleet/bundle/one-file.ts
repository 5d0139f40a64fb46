/**
 * Makes one file of a program and what it imports, for Node to find and read each further one takes half a millisecond;
 * and makes it CommonJS, for which Node loads less: to import node:fs takes 4 ms, to require it nothing.
 */

interface How {
  /** The folder that names are relative to in the text: the same bytes wherever it lies. */
  root: string
  /** What is left outside: names of packages, or patterns of files. */
  external: readonly string[]
}

/** The text, for Node 24. Fails where `entry` imports what is not there. */
export async function oneFile(entry: string, { root, external }: How): Promise<Uint8Array> {
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    entryPoints: [entry],
    absWorkingDir: root,
    bundle: true,
    write: false,
    logLevel: 'silent',
    platform: 'node',
    format: 'cjs',
    // What createRequire takes as well.
    define: { 'import.meta.url': '__filename' },
    target: 'node24',
    charset: 'utf8',
    external: [...external],
    // node_modules may be a link: the text names files by their paths, which are the same everywhere.
    preserveSymlinks: true,
    // Whatever the checkout's tsconfig.json says: a test copies the sources without it.
    tsconfigRaw: {},
  })
  return outputFiles[0]!.contents
}
