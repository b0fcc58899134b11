/* settings_program.c - what the program's structs say, and whether they are sound.
 *
 * A mistake in them is the programmer's: it is told like any other ("the program: service 2: ...")
 * so that it is found at the first start, whatever the command was. */
#include "service/settings.h"

#include "service/settings_parts.h"
#include "stats/segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LETTERS  "abcdefghijklmnopqrstuvwxyz"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS   "0123456789"

/* Sections of a file are cut by inih beyond 49 bytes. */
enum {
	SERVICE_NAME_MAX = 48,
	PROGRAM_NAME_MAX = CREW__NAME_MAX - 1,
	PROTOCOL_NAME_MAX = 16
};

static const struct crew__origin program = { .kind = CREW__ORIGIN_PROGRAM };

static bool made_of(const char *text, const char *bytes, size_t most)
{
	size_t length = strlen(text);
	return length > 0 && length <= most && strspn(text, bytes) == length;
}

/* ---- the program's name -------------------------------------------------------------------- */

/* It becomes part of file names. */
static bool is_file_name(const char *name)
{
	for (const char *byte = name; *byte; byte++)
		if ((unsigned char)*byte < ' ' || *byte == '/' || *byte == 0x7f)
			return false;
	return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       strlen(name) <= PROGRAM_NAME_MAX;
}

static int take_name(struct crew__loader *loader)
{
	const char *name = loader->source->app->name;
	if (!name) {
		const char *path = loader->source->program ? loader->source->program : "";
		const char *slash = strrchr(path, '/');
		name = slash ? slash + 1 : path;
	}
	if (!is_file_name(name))
		return crew__settings_refuse(loader, program,
			"its name \"%.64s\" cannot be part of a file name (1 to %d bytes, without / and "
			"control characters); set crew_app.name",
			name, PROGRAM_NAME_MAX);
	loader->settings->name = strdup(name);
	return loader->settings->name ? 0 : crew__settings_no_memory(loader);
}

/* ---- counters ------------------------------------------------------------------------------ */

static int check_counters(const struct crew__loader *loader)
{
	static const struct crew__slab none;
	const crew_counter *counters = loader->source->app->counters;
	uint64_t value;
	for (unsigned i = 0; i < CREW_MAX_COUNTERS && counters[i].name; i++) {
		const char *name = counters[i].name;
		if (!made_of(name, LETTERS DIGITS "_", CREW__NAME_MAX - 1))
			return crew__settings_refuse(loader, program,
				"counter %u: the name \"%.64s\" must be 1 to %d lower-case letters, digits and _",
				i + 1, name, CREW__NAME_MAX - 1);
		if (crew__slab_value(&none, NULL, name, &value))
			return crew__settings_refuse(loader, program,
				"counter %u: \"%s\" is the name of a counter that crew keeps",
				i + 1, name);
		for (unsigned k = 0; k < i; k++)
			if (strcmp(counters[k].name, name) == 0)
				return crew__settings_refuse(loader, program,
					"counter %u: the name \"%s\" is taken by counter %u", i + 1,
					name, k + 1);
	}
	return 0;
}

/* ---- services ------------------------------------------------------------------------------ */

static int check_service_name(const struct crew__loader *loader, unsigned index)
{
	const crew_service *const *services = loader->source->app->services;
	const char *name = services[index]->name;
	if (!name)
		return crew__settings_refuse(loader, program, "service %u has no name", index + 1);
	if (!made_of(name, LETTERS CAPITALS DIGITS "-_", SERVICE_NAME_MAX))
		return crew__settings_refuse(loader, program,
			"service %u: the name \"%.64s\" must be 1 to %d letters, digits, - and _",
			index + 1, name, SERVICE_NAME_MAX);
	if (strcmp(name, "crew") == 0 || strcmp(name, "app") == 0)
		return crew__settings_refuse(loader, program,
			"service %u: the name \"%s\" is that of another section of the settings",
			index + 1, name);
	for (unsigned i = 0; i < index; i++)
		if (strcmp(services[i]->name, name) == 0)
			return crew__settings_refuse(loader, program,
				"service %u: the name \"%s\" is taken by service %u", index + 1,
				name, i + 1);
	return 0;
}

static int check_protocol(const struct crew__loader *loader, unsigned index)
{
	static const char *const built_in[] = { "tcp", "unix", "text", "frame", "http", "ws", "tls",
		"https", "wss", "udp" };
	const crew_service *service = loader->source->app->services[index];
	const crew_protocol *protocol = service->protocol;
	if (!protocol)
		return 0;
	if (!protocol->name || !made_of(protocol->name, LETTERS DIGITS, PROTOCOL_NAME_MAX))
		return crew__settings_refuse(loader, program,
			"service %u (%s): its protocol's name must be 1 to %d lower-case letters and digits",
			index + 1, service->name, PROTOCOL_NAME_MAX);
	for (size_t i = 0; i < crew__lengthof(built_in); i++)
		if (strcmp(built_in[i], protocol->name) == 0)
			return crew__settings_refuse(loader, program,
				"service %u (%s): its protocol's name \"%s\" is a scheme of crew's own",
				index + 1, service->name, protocol->name);
	if (!protocol->cut)
		return crew__settings_refuse(loader, program,
			"service %u (%s): its protocol \"%s\" has no function `cut`", index + 1,
			service->name, protocol->name);
	return 0;
}

static int find_services(struct crew__loader *loader)
{
	const crew_app *app = loader->source->app;
	struct crew__settings *settings = loader->settings;
	while (app->services[settings->services]) {
		unsigned index = settings->services;
		if (index == CREW_MAX_SERVICES)
			return crew__settings_refuse(loader, program,
				"more than %d services: crew_app.services must end with NULL",
				CREW_MAX_SERVICES);
		int error = check_service_name(loader, index);
		if (!error)
			error = check_protocol(loader, index);
		if (error)
			return error;
		settings->service[index].service = app->services[index];
		settings->services++;
	}
	if (settings->services == 0)
		return crew__settings_refuse(
			loader, program, "it has no service: crew_app.services is empty");
	return 0;
}

/* ---- values -------------------------------------------------------------------------------- */

/* Numbers of the struct, by key; their members have the keys' names. */
struct number {
	enum crew__service_key key;
	int64_t value;
};

static int take_number(struct crew__loader *loader, unsigned index, const struct number *number)
{
	char why[CREW__WHY_MAX];
	const struct crew__settings_key *key = &crew__service_keys[number->key];
	struct crew__service_settings *settings = &loader->settings->service[index];
	if (number->value == 0)
		return 0;
	if (crew__settings_take_number(key, settings, number->value, why))
		return crew__settings_refuse(loader, program, "service %u (%s): .%s = %lld: %s",
			index + 1, settings->service->name, key->name, (long long)number->value,
			why);
	loader->service_origin[index][number->key] = program;
	return 0;
}

static int take_numbers(struct crew__loader *loader, unsigned index)
{
	const crew_service *service = loader->settings->service[index].service;
#define NUMBER(key)                                   \
	{                                             \
		CREW__SERVICE_KEY_##key, service->key \
	}
	const struct number numbers[] = { NUMBER(workers), NUMBER(max_connections),
		NUMBER(max_connections_per_ip), NUMBER(max_message), NUMBER(max_send_buffer),
		NUMBER(kernel_unsent_limit), NUMBER(send_timeout_ms), NUMBER(idle_timeout_ms),
		NUMBER(handshake_timeout_ms), NUMBER(heartbeat_ms), NUMBER(linger_ms),
		NUMBER(drain_timeout_ms), NUMBER(stop_timeout_ms), NUMBER(min_body_rate),
		NUMBER(max_head), NUMBER(gzip), NUMBER(soft_limit), NUMBER(soft_limit_ms),
		NUMBER(rate_bytes), NUMBER(rate_messages), NUMBER(auth_timeout_ms),
		NUMBER(unauthenticated_limit), NUMBER(deflate_min), NUMBER(tls_handshakes_most),
		NUMBER(recycle_requests), NUMBER(recycle_age_ms), NUMBER(recycle_memory),
		NUMBER(offload_threads), NUMBER(offload_queue), NUMBER(offload_timeout_ms),
		NUMBER(connection_rate_per_ip),
		NUMBER(slow_callback_ms), NUMBER(stuck_ms) };
#undef NUMBER
	for (size_t i = 0; i < crew__lengthof(numbers); i++) {
		int error = take_number(loader, index, &numbers[i]);
		if (error)
			return error;
	}
	return 0;
}

static int take_texts(struct crew__loader *loader, unsigned index)
{
	const crew_service *service = loader->settings->service[index].service;
	const struct {
		const char *key, *value;
	} texts[] = {
		{ "listen", service->listen },
		{ "user", service->user },
		{ "group", service->group },
		{ "reuse_port", service->reuse_port ? "on" : NULL },
		{ "accept", service->accept },
		{ "access_log", service->access_log },
		{ "access_log_json", service->access_log_json ? "on" : NULL },
		{ "trusted_proxies", service->trusted_proxies },
		{ "proxy_protocol", service->proxy_protocol ? "on" : NULL },
		{ "upload_dir", service->upload_dir },
		{ "deflate", service->deflate },
		{ "tls_cert", service->tls_cert },
		{ "tls_key", service->tls_key },
		{ "tls_ocsp", service->tls_ocsp },
		{ "tls_client_ca", service->tls_client_ca },
		{ "tls_client", service->tls_client },
		{ "tls_min", service->tls_min },
		{ "tls_alpn", service->tls_alpn },
		{ "ktls", service->ktls_off ? "off" : NULL },
		{ "capabilities", service->capabilities },
		{ "no_new_privs", service->no_new_privs_off ? "off" : NULL },
		{ "seccomp", service->seccomp },
		{ "handover", service->handover ? "on" : NULL },
		{ "policy", service->policy ? crew_policy_name(service->policy) : NULL },
	};
	for (size_t i = 0; i < crew__lengthof(texts); i++) {
		int error = texts[i].value ? crew__settings_assign(loader, program, service->name,
						     texts[i].key, texts[i].value)
					   : 0;
		if (error)
			return error;
	}
	return 0;
}

static int take_app(struct crew__loader *loader)
{
	char why[CREW__WHY_MAX];
	const crew_app *app = loader->source->app;
	const struct crew__settings_key *key = &crew__crew_keys[CREW__CREW_KEY_buffer_budget];
	if (app->buffer_budget != 0) {
		if (crew__settings_take_number(key, loader->settings, app->buffer_budget, why))
			return crew__settings_refuse(loader, program, ".buffer_budget = %lld: %s",
				(long long)app->buffer_budget, why);
		loader->crew_origin[CREW__CREW_KEY_buffer_budget] = program;
	}
	if (!app->admin)
		return 0;
	return crew__settings_assign(loader, program, "crew", "admin", app->admin);
}

int crew__settings_take_service(struct crew__loader *loader, unsigned index)
{
	for (size_t key = 0; key < CREW__SERVICE_KEYS; key++)
		crew__settings_preset(&crew__service_keys[key], &loader->settings->service[index]);
	int error = take_numbers(loader, index);
	return error ? error : take_texts(loader, index);
}

int crew__settings_take_program(struct crew__loader *loader)
{
	int error = take_name(loader);
	if (!error)
		error = check_counters(loader);
	if (!error)
		error = find_services(loader);
	if (!error)
		error = take_app(loader);
	for (unsigned i = 0; !error && i < loader->settings->services; i++)
		error = crew__settings_take_service(loader, i);
	return error ? error : crew__settings_place_admin(loader);
}
