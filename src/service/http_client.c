/* http_client.c - who asked, and what a request is called.
 *
 * Not here: the PROXY header (proxied.c): what it says is the peer's address by the time a request
 * comes. */
#include "service/http.h"

#include "base/clock.h"
#include "net/address.h"
#include "web/forwarded.h"

#include <stdio.h>
#include <string.h>

/* ---- the client ---------------------------------------------------------------------------- */

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
		return crew__address_bare(&client.address, text, size);
	int length = snprintf(
		text, size, "%s", client.kind == CREW__CLIENT_NAMED ? client.name : "unknown");
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

void crew__next_id(crew_worker *w, char ret_id[17])
{
	static const char digits[] = "0123456789abcdef";
	uint64_t id = w->http->next_id++;
	for (unsigned i = 0; i < 16; i++)
		ret_id[i] = digits[id >> (60 - i * 4) & 15];
	ret_id[16] = '\0';
}

const char *crew_request_id(const crew_request *request)
{
	struct crew__request_side *side = crew__request_side(request);
	if (!side)
		return "";
	if (!side->id[0])
		crew__next_id(side->worker, side->id);
	return side->id;
}
