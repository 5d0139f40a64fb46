/** All stages of this package. */
export { decompress } from './decompress.ts'
export { fetch } from './fetch.ts'
export { install } from './install.ts'
export { mount } from './mount.ts'
export { overlay } from './overlay.ts'
export { save } from './save.ts'
export { sign } from './sign.ts'
