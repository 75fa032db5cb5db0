/** What a user is told of an error, by its name: [what has happened, what to do]. */

const zh = {
  session_replaced: ['您的账号已在其他设备登录', ''],
  session_kicked: ['您已被管理员下线', '如有疑问，请联系客服。'],
  user_banned: ['您的账号已被封禁', '如有疑问，请联系客服。'],
  wechat_user_blocked: ['微信判定该账号存在风险，无法登录', ''],
  wechat_unavailable: ['微信服务暂不可用', '客户端已自动重试。请稍后再试。'],
  rate_limited: ['操作过于频繁', '请稍后再试。'],
  wechat_rate_limited: ['登录过于频繁', '请稍后再试。'],
  wechat_busy: ['登录的人太多了', '请稍后再试。'],
  wechat_misconfigured: ['登录服务配置有误', '请联系管理员。'],
  session_store_unavailable: ['会话服务暂不可用', '请稍后再试。这不会让已登录的用户退出登录。'],
  user_store_unavailable: ['用户服务暂不可用', '请稍后再试。'],
  phone_taken: ['该手机号已绑定其他账号', '请换一个手机号，或用原账号登录。'],
  phone_code_invalid: ['手机号授权已失效', '请重新点击按钮。'],
  login_code_invalid: ['登录凭证无效', '请重新登录。'],
  login_code_used: ['登录凭证已被使用', '请重新登录。'],
  pictures_busy: ['上传头像的人太多了', '请稍后再试。'],
  body_too_large: ['图片太大', '请换一张小一些的图片。'],
  invalid_avatar: ['这不是可用的图片', '请选择 JPEG、PNG 或 WebP 图片。'],
  nickname_empty: ['昵称不能为空', '请输入 1 到 32 个字符。'],
  nickname_too_long: ['昵称太长', '请不要超过 32 个字符。'],
  nickname_invisible: ['昵称含有看不见的字符', '请去掉后再保存。'],
  nickname_rejected: ['昵称没有通过微信的内容检查', '请换一个昵称。'],
  nickname_unusable: ['昵称是“微信用户”，或叠加了太多附加符号', '请换一个昵称。'],
  invalid_request: ['请求内容有误', ''],
  internal: ['服务内部错误', '请稍后再试。'],
  offline: ['网络不通，服务没有应答', '请检查网络后再试。'],
  wx_login_failed: ['没能从微信取得登录凭证', '微信模拟器可能已停止，请确认 make run 仍在运行。'],
  phone_refused: ['没能从微信取得手机号', '微信模拟器可能已停止，请确认 make run 仍在运行。'],
  logged_out: ['您已退出登录', '要查看商品，请先登录。'],
  unknown: ['出了点问题', '请稍后再试。'],
}

const en = {
  session_replaced: ['Your account has logged in on another device', ''],
  session_kicked: ['An operator has ended your session', 'Ask the support if you wonder why.'],
  user_banned: ['Your account has been banned', 'Ask the support if you wonder why.'],
  wechat_user_blocked: ['WeChat has blocked this account from logging in', ''],
  wechat_unavailable: ['WeChat is not available', 'The client has tried several times. Try again later.'],
  rate_limited: ['Too many requests', 'Try again later.'],
  wechat_rate_limited: ['Too many logins', 'Try again later.'],
  wechat_busy: ['Too many people are logging in', 'Try again in a moment.'],
  wechat_misconfigured: ['Login is misconfigured', 'Tell the operator.'],
  session_store_unavailable: ['Sessions are not available now', 'Try again in a moment. This logs nobody out.'],
  user_store_unavailable: ['Profiles are not available now', 'Try again in a moment.'],
  phone_taken: ['This phone number belongs to another account', 'Take another number, or log in to that account.'],
  phone_code_invalid: ['The permission for your number has expired', 'Press the button again.'],
  login_code_invalid: ['The login code is not valid', 'Log in again.'],
  login_code_used: ['The login code has been used', 'Log in again.'],
  pictures_busy: ['Too many people are uploading pictures', 'Try again in a moment.'],
  body_too_large: ['The picture is too large', 'Choose a smaller one.'],
  invalid_avatar: ['This is not a picture that can be used', 'Choose a JPEG, PNG or WebP.'],
  nickname_empty: ['The nickname is empty', 'Type 1 to 32 characters.'],
  nickname_too_long: ['The nickname is too long', 'Type 32 characters at most.'],
  nickname_invisible: ['The nickname has characters that cannot be seen', 'Type it without them.'],
  nickname_rejected: ['The nickname does not pass the content check of WeChat', 'Choose another one.'],
  nickname_unusable: ['The nickname is 微信用户, or has too many accents on a letter', 'Choose another one.'],
  invalid_request: ['The request was not understood', ''],
  internal: ['Something broke in the service', 'Try again later.'],
  offline: ['No answer from the service', 'Check the network and try again.'],
  wx_login_failed: ['WeChat gave no login code', 'The simulator may have stopped: see that make run still runs.'],
  phone_refused: ['WeChat gave no phone number', 'The simulator may have stopped: see that make run still runs.'],
  logged_out: ['You have logged out', 'Log in to see the products.'],
  unknown: ['Something went wrong', 'Try again later.'],
}

const wait = {
  zh: (seconds) => `请 ${seconds} 秒后再试。`,
  en: (seconds) => `Try again in ${seconds} seconds.`,
}

/** The two sentences for an error of the client; its own message where this page knows none. */
export function explain(error, language) {
  const known = { zh, en }[language]
  const field = error.error === 'invalid_request' && error.data && error.data.field
  const [what, next] = known[field ? `invalid_${field}` : error.error] || [error.message || known.unknown[0], known.unknown[1]]
  const seconds = Math.ceil((error.retryAfterMs || 0) / 1000)
  return [what, seconds ? wait[language](seconds) : next]
}
