// The client is CommonJS, and comes to this page as it is: this is where it leaves its exports.
globalThis.module = { exports: {} }
