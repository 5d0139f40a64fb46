/** The version of this package, as provenance and SBOM state it. A test compares it with package.json. */
export const version = '0.1.0'
