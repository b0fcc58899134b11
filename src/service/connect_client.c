/* connect_client.c - a service and protocol of outgoing connections, in one worker: made when the
 * first of them is, and there as long as the worker is. */
#include "service/connect_parts.h"

#include "service/ws.h"

#include <stdlib.h>

static size_t aligned(size_t size)
{
	return (size + 15) & ~(size_t)15;
}

/* Behind a connection: its protocol's side, its link, the state of a protocol of the program's, the
 * program's own bytes. */
static void lay_out(crew_worker *w)
{
	bool ws = w->kind == CREW__WS;
	size_t side = ws ? sizeof(struct crew__side)
			 : offsetof(struct crew__side, http) + sizeof(uint32_t);
	const crew_protocol *own = w->service->protocol;
	w->state_at = aligned(side) + CREW__LINK_ROOM;
	w->data_at = w->state_at + (own ? aligned(own->state_size) : 0);
}

static int init_net(crew_worker *w)
{
	const struct crew__net_plan plan = {
		.loop = w->plan.loop,
		.ops = &crew__client_ops,
		.shared_held = &crew__here.shared_held,
		.owner = w,
		.limits = crew__worker_limits(w),
		.ext_size = w->data_at + w->service->conn_size,
		.stats = w->plan.stats,
		.protocol = (uint8_t)w->kind,
		.transport = CREW__TCP,
		.shares = &w->parent->net,
	};
	return crew__net_init(&w->net, &plan);
}

static int init_worker(
	struct crew__client *client, crew_worker *parent, enum crew__protocol_kind kind)
{
	crew_worker *w = &client->worker;
	w->magic = CREW__WORKER_MAGIC;
	w->parent = parent;
	w->id = parent->id;
	w->generation = parent->generation;
	w->settings = &client->settings->service[0];
	w->service = w->settings->service;
	w->on_message = w->service->on_message;
	w->counters = parent->counters;
	w->plan = parent->plan;
	w->plan.settings = w->settings;
	w->kind = kind;
	crew__worker_take_times(w);
	crew__buf_init(&w->scratch, (UINT32_C(1) << 31) - 1);
	lay_out(w);
	return init_net(w);
}

static int new_client(crew_worker *parent, const crew_service *service,
	enum crew__protocol_kind kind, struct crew__client **ret_client, char *ret_error,
	size_t error_size)
{
	struct crew__client *client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	int error = crew__settings_for_client(service, &client->settings, ret_error, error_size);
	if (!error)
		error = init_worker(client, parent, kind);
	if (error) {
		crew__settings_free(client->settings);
		free(client);
		return error;
	}
	*ret_client = client;
	return 0;
}

int crew__client_get(crew_worker *parent, const crew_service *service,
	enum crew__protocol_kind kind, struct crew__client **ret_client, char *ret_error,
	size_t error_size)
{
	struct crew__outgoing *o = parent->outgoing;
	if (!o) {
		o = calloc(1, sizeof(*o));
		if (!o)
			return -ENOMEM;
		crew__list_init(&o->links);
		parent->outgoing = o;
	}
	for (struct crew__client *client = o->clients; client; client = client->next) {
		if (client->worker.service == service && client->worker.kind == kind) {
			*ret_client = client;
			return 0;
		}
	}
	int error = new_client(parent, service, kind, ret_client, ret_error, error_size);
	if (error)
		return error;
	(*ret_client)->next = o->clients;
	o->clients = *ret_client;
	return 0;
}

crew_worker *crew__client_next(
	const crew_worker *w, const crew_service *service, const crew_worker *last)
{
	const struct crew__outgoing *o = w->parent ? w->parent->outgoing : w->outgoing;
	struct crew__client *client = o ? o->clients : NULL;
	if (last)
		client = crew__container_of(
			(crew_worker *)(uintptr_t)last, struct crew__client, worker)
				 ->next;
	while (client && client->worker.service != service)
		client = client->next;
	return client ? &client->worker : NULL;
}

/* ---- the worker's end ---------------------------------------------------------------------- */

uint32_t crew__outgoing_count(const crew_worker *w)
{
	return w->outgoing ? w->outgoing->count : 0;
}

void crew__outgoing_leave(crew_worker *w)
{
	if (!w->outgoing)
		return;
	struct crew__node *head = &w->outgoing->links;
	for (struct crew__node *node = head->next, *next; node != head; node = next) {
		next = node->next; /* an ending connection is told of at the turn's end */
		struct crew__link *link = crew__container_of(node, struct crew__link, node);
		if (!link->conn)
			crew__link_free(link);
		else if (link->step != CREW__LINK_STANDS)
			crew__conn_close(link->conn, CREW_END_DRAIN);
	}
}

void crew__outgoing_end(crew_worker *w)
{
	if (!w->outgoing)
		return;
	crew__outgoing_leave(w);
	for (struct crew__client *client = w->outgoing->clients; client; client = client->next)
		crew__net_fini(&client->worker.net);
	crew__must(crew__list_empty(&w->outgoing->links));
}

void crew__outgoing_free(crew_worker *w)
{
	struct crew__outgoing *o = w->outgoing;
	if (!o)
		return;
	while (o->clients) {
		struct crew__client *client = o->clients;
		o->clients = client->next;
		crew__ws_worker_free(&client->worker);
		crew__buf_release(&client->worker.scratch);
		crew__settings_free(client->settings);
		free(client);
	}
	crew__client_tls_free(o);
	free(o);
	w->outgoing = NULL;
}
