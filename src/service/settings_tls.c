/* settings_tls.c - what the settings of TLS need of each other: certificates and keys in pairs, an
 * address that can speak it, authorities where clients are asked.
 *
 * Not here: whether files are there and what they hold (tls_files.c, net/tls_context.h). */
#include "service/settings.h"

#include "net/address.h"
#include "service/settings_parts.h"
#include "service/tls_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUNDIR "RUNDIR/"

/* ---- paths --------------------------------------------------------------------------------- */

static bool stands_alone(const char *path)
{
	return path[0] == '/' || strcmp(path, "-") == 0;
}

/* The list again, with each path made absolute. NULL without memory. */
static char *absolute_list(const char *list, const char *run_dir, const char *cwd)
{
	char path[CREW__TLS_PATH_MOST];
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	for (const char *blank = ""; crew__tls_next_path(&list, path); blank = " ") {
		if (stands_alone(path))
			fprintf(out, "%s%s", blank, path);
		else if (strncmp(path, RUNDIR, strlen(RUNDIR)) == 0)
			fprintf(out, "%s%s/%s", blank, run_dir, path + strlen(RUNDIR));
		else
			fprintf(out, "%s%s/%s", blank, cwd, path);
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static int resolve_list(const struct crew__loader *loader, char **list, const char *cwd)
{
	if (!*list)
		return 0;
	char *text = absolute_list(*list, loader->settings->run_dir, cwd);
	if (!text)
		return crew__settings_no_memory(loader);
	free(*list);
	*list = text;
	return 0;
}

static int resolve_service(struct crew__loader *loader, unsigned index, const char *cwd)
{
	struct crew__service_settings *settings = &loader->settings->service[index];
	char **lists[] = { &settings->tls_cert, &settings->tls_key, &settings->tls_ocsp,
		&settings->tls_client_ca };
	for (size_t i = 0; i < crew__lengthof(lists); i++) {
		int error = resolve_list(loader, lists[i], cwd);
		if (error)
			return error;
	}
	if (settings->tls_client_ca &&
		loader->service_origin[index][CREW__SERVICE_KEY_tls_client].kind ==
			CREW__ORIGIN_DEFAULT)
		settings->tls_client = CREW__TLS_CLIENTS_REQUIRED;
	return 0;
}

int crew__settings_resolve_tls(struct crew__loader *loader)
{
	char *cwd = getcwd(NULL, 0);
	int error = cwd ? 0 : crew__settings_no_memory(loader);
	for (unsigned i = 0; !error && i < loader->settings->services; i++)
		error = resolve_service(loader, i, cwd);
	free(cwd);
	return error;
}

/* ---- checks -------------------------------------------------------------------------------- */

struct place {
	const struct crew__loader *loader;
	unsigned index;
	const struct crew__service_settings *settings;
	const char *name;
};

static struct crew__origin origin_of(const struct place *place, enum crew__service_key key)
{
	return place->loader->service_origin[place->index][key];
}

#define refuse(place, key, ...) \
	crew__settings_refuse(  \
		(place)->loader, origin_of((place), CREW__SERVICE_KEY_##key), __VA_ARGS__)

/* Settings that say something only where TLS is spoken. */
static int check_unused(const struct place *place)
{
	const struct crew__service_settings *settings = place->settings;
	static const enum crew__service_key keys[] = { CREW__SERVICE_KEY_tls_client,
		CREW__SERVICE_KEY_tls_min, CREW__SERVICE_KEY_tls_handshakes_most,
		CREW__SERVICE_KEY_tls_alpn, CREW__SERVICE_KEY_ktls };
	if (settings->tls_key)
		return refuse(place, tls_key,
			"%s.tls_key has no certificate; set %s.tls_cert as well", place->name,
			place->name);
	if (settings->tls_ocsp)
		return refuse(place, tls_ocsp,
			"%s.tls_ocsp has no certificate; set %s.tls_cert as well", place->name,
			place->name);
	if (settings->tls_client_ca)
		return refuse(place, tls_client_ca,
			"%s.tls_client_ca has no certificate; set %s.tls_cert and %s.tls_key as well",
			place->name, place->name, place->name);
	for (size_t i = 0; i < crew__lengthof(keys); i++) {
		struct crew__origin origin = origin_of(place, keys[i]);
		if (origin.kind != CREW__ORIGIN_DEFAULT && origin.kind != CREW__ORIGIN_MASTER)
			return crew__settings_refuse(place->loader, origin,
				"%s.%s is for services that speak TLS; set %s.tls_cert and %s.tls_key",
				place->name, crew__service_keys[keys[i]].name, place->name,
				place->name);
	}
	return 0;
}

static bool has_none(const char *list)
{
	char path[CREW__TLS_PATH_MOST];
	bool found = false;
	while (!found && crew__tls_next_path(&list, path))
		found = strcmp(path, "-") == 0;
	return found;
}

static int check_pairs(const struct place *place)
{
	const struct crew__service_settings *settings = place->settings;
	size_t certs = crew__tls_count_paths(settings->tls_cert);
	size_t keys = crew__tls_count_paths(settings->tls_key);
	size_t answers = crew__tls_count_paths(settings->tls_ocsp);
	if (keys == 0)
		return refuse(place, tls_cert, "%s.tls_cert has no key; set %s.tls_key as well",
			place->name, place->name);
	if (certs != keys || certs > CREW__TLS_PAIRS_MOST)
		return refuse(place, tls_key,
			"%s.tls_cert and %s.tls_key differ in how many files they name (%zu and "
			"%zu), or name more than %d; name a key for each certificate, in the same "
			"order",
			place->name, place->name, certs, keys, CREW__TLS_PAIRS_MOST);
	if (answers != 0 && answers != certs)
		return refuse(place, tls_ocsp,
			"%s.tls_cert and %s.tls_ocsp differ in how many files they name (%zu and "
			"%zu); name an answer for each certificate, in the same order, - for none",
			place->name, place->name, certs, answers);
	if (has_none(settings->tls_cert) || has_none(settings->tls_key))
		return refuse(place, tls_cert,
			"%s.tls_cert and %s.tls_key name files; - is for tls_ocsp", place->name,
			place->name);
	return 0;
}

static int check_clients(const struct place *place)
{
	const struct crew__service_settings *settings = place->settings;
	unsigned char wire[512];
	if (settings->tls_client != CREW__TLS_CLIENTS_OFF && !settings->tls_client_ca)
		return refuse(place, tls_client,
			"%s.tls_client asks for certificates, and nobody is trusted to issue them; set "
			"%s.tls_client_ca",
			place->name, place->name);
	if (settings->tls_client_ca && crew__tls_count_paths(settings->tls_client_ca) != 1)
		return refuse(place, tls_client_ca,
			"%s.tls_client_ca is one file; write all authorities into it", place->name);
	if (settings->tls_alpn && crew__tls_alpn_wire(settings->tls_alpn, wire, sizeof(wire)) < 0)
		return refuse(place, tls_alpn,
			"%s.tls_alpn = %.100s: this is no list of protocols; write their names with "
			"blanks between, such as http/1.1",
			place->name, settings->tls_alpn);
	return 0;
}

/* Who agreed on h2 and then got HTTP/1.1 would give up, as browsers and curl do. */
static int check_spoken(const struct place *place, const struct crew__address *address)
{
	const char *scheme = address->scheme;
	char name[16];
	bool http = strcmp(scheme, "http") == 0 || strcmp(scheme, "ws") == 0;
	for (const char *list = place->settings->tls_alpn; http && list && *list != '\0';) {
		list += strspn(list, " \t");
		size_t len = strcspn(list, " \t");
		snprintf(name, sizeof(name), "%.*s", (int)(len < 15 ? len : 15), list);
		if (strcmp(name, "h2") == 0 || strcmp(name, "h3") == 0)
			return refuse(place, tls_alpn,
				"%s.tls_alpn names %s, which %s.listen does not speak; leave it out, "
				"http/1.1 is what it speaks",
				place->name, name, place->name);
		list += len;
	}
	return 0;
}

/* What its address says of TLS; one that is no address was refused before. */
static int check_address(const struct place *place)
{
	struct crew__address addresses[CREW__ADDRESSES_MAX];
	const struct crew__service_settings *settings = place->settings;
	size_t count;
	char why[256];
	if (!settings->listen)
		return settings->tls_cert ? refuse(place, tls_cert,
						    "%s.tls_cert: the service listens nowhere; set "
						    "%s.listen",
						    place->name, place->name)
					  : 0;
	if (crew__addresses_parse(settings->listen, place->loader->settings->run_dir, addresses,
		    &count, why, sizeof(why)))
		return 0;
	if (addresses[0].tls && !settings->tls_cert)
		return refuse(place, listen,
			"%s.listen = %.160s speaks TLS, for which it needs a certificate; set "
			"%s.tls_cert and %s.tls_key",
			place->name, settings->listen, place->name, place->name);
	if (settings->tls_cert && addresses[0].transport == CREW__UDP)
		return refuse(place, tls_cert,
			"%s.tls_cert: TLS is spoken over streams, and %s.listen is udp",
			place->name, place->name);
	return settings->tls_cert ? check_spoken(place, &addresses[0]) : 0;
}

int crew__settings_check_tls(const struct crew__loader *loader)
{
	int error = 0;
	for (unsigned i = 0; !error && i < loader->settings->services; i++) {
		const struct crew__service_settings *settings = &loader->settings->service[i];
		const struct place place = { loader, i, settings, settings->service->name };
		error = check_address(&place);
		if (!error && !settings->tls_cert)
			error = check_unused(&place);
		else if (!error)
			error = check_pairs(&place);
		if (!error && settings->tls_cert)
			error = check_clients(&place);
	}
	return error;
}
