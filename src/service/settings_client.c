/* settings_client.c - the settings of a service of outgoing connections: what its struct says, and
 * presets. It stands in no crew_app, so neither the file nor --set knows it. */
#include "service/settings.h"

#include "service/settings_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* What depends on the machine or the address elsewhere (settings_resolve.c). */
static void resolve(struct crew__service_settings *settings)
{
	/* The worker's slots are the bound when it says nothing of its own. */
	if (settings->service->max_connections == 0)
		settings->max_connections = UINT32_MAX;
	if (settings->service->idle_timeout_ms == 0)
		settings->idle_timeout_ms = 0;
	/* Those are counted by who comes; here nobody does. */
	settings->max_connections_per_ip = 0;
	settings->connection_rate_per_ip = 0;
	settings->proxy_protocol = false;
}

static int load(const crew_app *app, struct crew__settings **ret_settings, char *ret_error,
	size_t error_size)
{
	const struct crew__settings_source source = { .app = app };
	struct crew__loader *loader = calloc(1, sizeof(*loader));
	if (!loader) {
		snprintf(ret_error, error_size, "no memory");
		return -ENOMEM;
	}
	loader->source = &source;
	loader->error = ret_error;
	loader->error_size = error_size;
	int error = crew__settings_begin(loader);
	struct crew__settings *settings = loader->settings;
	free(loader);
	if (error) {
		crew__settings_free(settings);
		return error;
	}
	settings->app = NULL; /* it was for the loading alone */
	resolve(&settings->service[0]);
	*ret_settings = settings;
	return 0;
}

/* What only a service that listens can do anything with: better refused than never heard of again.
 */
static int refuse_unused(const crew_service *s, char *ret_error, size_t error_size)
{
	static const char options[] = "it belongs into crew_connect_options",
			  trust[] = "whom to trust is said by crew_connect_options.tls_ca",
			  never[] = "nothing of the kind happens to an outgoing connection";
	const struct {
		bool set;
		const char *field, *advice;
	} rows[] = {
		{ s->tls_cert, "tls_cert", options },
		{ s->tls_key, "tls_key", options },
		{ s->tls_alpn, "tls_alpn", options },
		{ s->tls_client_ca, "tls_client_ca", trust },
		{ s->tls_client, "tls_client", never },
		{ s->tls_ocsp, "tls_ocsp", never },
		{ s->on_worker_start, "on_worker_start", never },
		{ s->on_worker_stop, "on_worker_stop", never },
		{ s->on_worker_exit, "on_worker_exit", never },
		{ s->on_reload, "on_reload", never },
		{ s->on_farewell, "on_farewell", never },
		{ s->on_request, "on_request", never },
		{ s->routes, "routes", never },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		if (!rows[i].set)
			continue;
		snprintf(ret_error, error_size, "options->service sets %s: %s", rows[i].field,
			rows[i].advice);
		return -EINVAL;
	}
	return 0;
}

int crew__settings_for_client(const crew_service *service, struct crew__settings **ret_settings,
	char *ret_error, size_t error_size)
{
	crew_app *app = calloc(1, sizeof(*app));
	if (!app) {
		snprintf(ret_error, error_size, "no memory");
		return -ENOMEM;
	}
	app->name = "client";
	app->services[0] = service;
	int error = 0;
	if (service->listen) {
		snprintf(ret_error, error_size,
			"options->service listens at %.100s; outgoing connections need a service "
			"of their own, without `listen`",
			service->listen);
		error = -EINVAL;
	}
	if (!error)
		error = refuse_unused(service, ret_error, error_size);
	if (!error)
		error = load(app, ret_settings, ret_error, error_size);
	free(app);
	return error;
}
