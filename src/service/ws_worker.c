/* ws_worker.c - what a worker has for all of its WebSockets: compressors, masking keys, names. */
#include "service/ws.h"

#include <stdlib.h>
#include <string.h>

enum {
	NAMES_MOST = UINT8_MAX, /* a connection keeps the place of its own in one byte */
	FRAME_SLACK = 1024,     /* what a frame has beside the longest message */
};

/* ---- turns --------------------------------------------------------------------------------- */

/* Now, and not when the next event comes. */
static bool go_on(struct crew__turn_hook *hook)
{
	struct crew__ws_worker *ws = crew__container_of(hook, struct crew__ws_worker, hook);
	uint32_t count = ws->waiting_count;
	ws->waiting_count = 0;
	crew__loop_remove_hook(ws->loop, hook);
	for (uint32_t i = 0; i < count; i++) {
		crew_conn *c = crew_find(ws->waiting[i]);
		if (c)
			crew__conn_go_on_reading(c, CREW__C_WAITING);
	}
	return count > 0;
}

bool crew__ws_yield(crew_conn *c)
{
	struct crew__ws_worker *ws = crew__worker_of(c)->ws;
	if (ws->waiting_count == ws->waiting_room) {
		uint32_t room = ws->waiting_room ? ws->waiting_room * 2 : 8;
		uint64_t *longer = reallocarray(ws->waiting, room, sizeof(*longer));
		if (!longer)
			return false;
		ws->waiting = longer;
		ws->waiting_room = room;
	}
	if (ws->waiting_count == 0)
		crew__loop_add_hook(ws->loop, &ws->hook);
	ws->waiting[ws->waiting_count++] = crew_id(c);
	crew__conn_stop_reading(c, CREW__C_WAITING);
	return true;
}

/* ---- all of it ----------------------------------------------------------------------------- */

struct crew__ws_worker *crew__ws_worker(crew_worker *w)
{
	if (crew__likely(w->ws))
		return w->ws;
	struct crew__ws_worker *ws = calloc(1, sizeof(*ws));
	if (!ws)
		return NULL;
	crew__deflate_shared_init(&ws->deflate);
	crew__buf_init(&ws->out, (size_t)CREW__SEND_MOST + FRAME_SLACK);
	ws->hook.fn = go_on;
	ws->loop = w->plan.loop;
	w->ws = ws;
	return ws;
}

void crew__ws_worker_free(crew_worker *w)
{
	struct crew__ws_worker *ws = w->ws;
	if (!ws)
		return;
	crew__deflate_shared_fini(&ws->deflate);
	crew__buf_release(&ws->out);
	for (unsigned i = 0; i < ws->subprotocol_count; i++)
		free(ws->subprotocols[i]);
	free(ws->subprotocols);
	crew__loop_remove_hook(w->plan.loop, &ws->hook);
	free(ws->waiting);
	free(ws);
	w->ws = NULL;
}

/* ---- sub-protocols ------------------------------------------------------------------------- */

/* The names are the program's own, few and for ever, so that a place says as much as a name. */
uint8_t crew__subprotocol_place(crew_worker *w, crew_bytes name)
{
	struct crew__ws_worker *ws = crew__ws_worker(w);
	for (unsigned i = 0; ws && i < ws->subprotocol_count; i++)
		if (strlen(ws->subprotocols[i]) == name.len &&
			memcmp(ws->subprotocols[i], name.data, name.len) == 0)
			return (uint8_t)(i + 1);
	if (!ws || ws->subprotocol_count == NAMES_MOST)
		return 0;
	char *copy = calloc(name.len + 1, 1);
	char **names = reallocarray(ws->subprotocols, ws->subprotocol_count + 1u, sizeof(*names));
	if (names)
		ws->subprotocols = names;
	if (!copy || !names) {
		free(copy);
		return 0;
	}
	memcpy(copy, name.data, name.len);
	names[ws->subprotocol_count++] = copy;
	return ws->subprotocol_count;
}

const char *crew_websocket_protocol(const crew_conn *c)
{
	if (!c || c->record->protocol != CREW__WS)
		return "";
	uint8_t place = crew__side((crew_conn *)(uintptr_t)c)->subprotocol;
	return place ? crew__worker_of(c)->ws->subprotocols[place - 1] : "";
}
