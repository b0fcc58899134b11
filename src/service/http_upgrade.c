/* http_upgrade.c - from HTTP to WebSocket (RFC 6455 section 4.2). */
#include "service/http.h"

void crew__http_upgrade(struct crew__exchange *e, const struct crew__http1_request *request,
	const crew_websocket *websocket)
{
	crew_conn *c = e->conn;
	(void)websocket;
	int status = crew__worker_of(c)->leaving == CREW__STAYS ?
			     crew__ws_handshake_status(request) :
			     503;
	if (status != 0)
		crew__http_refuse(c, status, CREW_END_HANDSHAKE);
	else
		crew__ws_upgrade(c, request, NULL);
}
