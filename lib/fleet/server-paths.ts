/** Where `srv` puts what the server of fleets runs. */

/** One folder for each closure, called by its digest. */
export const closuresFolder = '/opt/fleetsie/closures'
/** A link to the closure in use. */
export const currentClosure = '/opt/fleetsie/current'
