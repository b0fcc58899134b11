/* http_client.c - who asked, and what a request is called.
 *
 * Not here: the PROXY header (proxied.c): what it says is the peer's address by the time a request
 * comes. */
#include "service/http.h"

#include "base/clock.h"
#include "net/address.h"
#include "web/forwarded.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* ---- the client ---------------------------------------------------------------------------- */

/* The address alone, as it is written without a port. */
static size_t bare_text(const struct crew__record_address *address, char *text, size_t size)
{
	char ip[INET6_ADDRSTRLEN] = "";
	bool ipv4 = address->family == AF_INET;
	if (!ipv4 && address->family != AF_INET6)
		return crew__address_text(address, text, size);
	inet_ntop(address->family, ipv4 ? address->ip + 12 : address->ip, ip, sizeof(ip));
	int length = address->scope && !ipv4 ? snprintf(text, size, "%s%%%u", ip, address->scope)
					     : snprintf(text, size, "%s", ip);
	return length < 0 ? 0 : (size_t)length;
}

static void find_client(const crew_request *request, struct crew__client *ret_client)
{
	const struct crew__request_side *side = request->side;
	crew_worker *w = side->worker;
	const struct crew__record_address *peer = &w->net.stats.cold[side->slot].remote;
	*ret_client = (struct crew__client){ .kind = CREW__CLIENT_NOT_TOLD };
	if (w->proxies && crew__cidrs_hold(w->proxies, peer))
		crew__forwarded_client(
			request->headers, request->header_count, w->proxies, ret_client);
	if (ret_client->kind != CREW__CLIENT_NOT_TOLD)
		return;
	ret_client->kind = CREW__CLIENT_ADDRESS;
	ret_client->address = *peer;
}

size_t crew__client_text(const crew_request *request, bool with_port, char *text, size_t size)
{
	struct crew__client client;
	find_client(request, &client);
	if (client.kind == CREW__CLIENT_ADDRESS && with_port && client.address.port)
		return crew__address_text(&client.address, text, size);
	if (client.kind == CREW__CLIENT_ADDRESS)
		return bare_text(&client.address, text, size);
	int length = snprintf(text, size, "%s",
		client.kind == CREW__CLIENT_NAMED ? client.name : "unknown");
	return length < 0 ? 0 : (size_t)length;
}

/* Worked out once; a kept request cannot ask its connection any more. */
const char *crew__client_of(const crew_request *request)
{
	struct crew__request_side *side = request->side;
	char text[128];
	if (!side->client) {
		crew__client_text(request, true, text, sizeof(text));
		side->client = crew__arena_copy(&side->arena, crew_str(text)).data;
	}
	return side->client ? side->client : "";
}

size_t crew_request_client(const crew_request *request, char *text, size_t size)
{
	int length = snprintf(
		text, size, "%s", crew__request_side(request) ? crew__client_of(request) : "");
	return length < 0 ? 0 : (size_t)length;
}

/* ---- the id -------------------------------------------------------------------------------- */

/* The worker's life, of which there is one at a time, and a number that goes up. It begins with the
 * age of the machine in units of 256 ns, which requests do not come as fast as: a later worker of
 * the same life begins beyond whatever an earlier one has reached. */
void crew__ids_start(crew_worker *w)
{
	w->http->next_id = (uint64_t)(w->net.stats.life & 0xfff) << 52 |
			   (crew__clock_ns() >> 8 & ((UINT64_C(1) << 52) - 1));
}

const char *crew_request_id(const crew_request *request)
{
	static const char digits[] = "0123456789abcdef";
	struct crew__request_side *side = crew__request_side(request);
	if (!side)
		return "";
	if (side->id[0])
		return side->id;
	uint64_t id = side->worker->http->next_id++;
	for (unsigned i = 0; i < 16; i++)
		side->id[i] = digits[id >> (60 - i * 4) & 15];
	side->id[16] = '\0';
	return side->id;
}
