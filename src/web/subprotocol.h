/* subprotocol.h - which of our sub-protocols a WebSocket client speaks (RFC 6455 section 4.2.2). */
#ifndef CREW_WEB_SUBPROTOCOL_H
#define CREW_WEB_SUBPROTOCOL_H

#include "base/base.h"

/* `ours`: names with spaces between them, the best first. 1: the best of them that the request's
 * Sec-WebSocket-Protocol fields offer is in `ret_name`, a view into `ours`. 0: none is. -EINVAL:
 * what is offered is no list of tokens. The time is linear in the length of the fields. */
int crew__subprotocol_choose(
	const char *ours, const crew_header *fields, size_t count, crew_bytes *ret_name);

#endif
