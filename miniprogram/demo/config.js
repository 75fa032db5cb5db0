/** Where everything is. */
module.exports = {
  /** The service; `make run` has it here. Released mini-programs need https and a registered domain. */
  baseUrl: 'http://127.0.0.1:8000',

  /**
   * The simulator of `make run`. Login and phone codes come from it instead of from WeChat, whose codes
   * it does not know. Only the development version heeds this. Empty it to log in with WeChat itself.
   */
  simulatorUrl: 'http://127.0.0.1:8001',

  /** Who logs in at the simulator: any name. */
  user: 'alice',
}
