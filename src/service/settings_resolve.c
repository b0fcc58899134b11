/* settings_resolve.c - what depends on the machine or on other settings: defaults that are worked
 * out, paths that are made absolute, and checks of values against each other. */
#include "service/settings.h"

#include "base/nearest.h"
#include "net/address.h"
#include "service/settings_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUNDIR "RUNDIR/"

enum {
	SLOTS_MAX = (1 << 20) - 1,
	RESERVE = 1, /* the descriptor that is kept back for the day when all are used up */
	HTTP_IDLE_MS = 60000,
	UDP_IDLE_MS = 60000,
	ADDRESS_WHY_MAX = 512
};

static const struct crew__origin nobody = { .kind = CREW__ORIGIN_DEFAULT };

/* ---- paths --------------------------------------------------------------------------------- */

char *crew__settings_default_run_dir(const char *name)
{
	char *path;
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int length;
	if (geteuid() == 0)
		length = asprintf(&path, "/run/%s", name);
	else if (runtime && runtime[0] == '/')
		length = asprintf(&path, "%s/%s", runtime, name);
	else
		length = asprintf(&path, "/tmp/%s-%u", name, (unsigned)geteuid());
	return length < 0 ? NULL : path;
}

/* Without slashes at its end. NULL with errno. */
static char *make_absolute(const char *path, const char *run_dir)
{
	char *full = NULL, *cwd = NULL;
	if (path[0] == '/') {
		full = strdup(path);
	} else if (run_dir && strncmp(path, RUNDIR, strlen(RUNDIR)) == 0) {
		if (asprintf(&full, "%s/%s", run_dir, path + strlen(RUNDIR)) < 0)
			full = NULL;
	} else {
		cwd = getcwd(NULL, 0);
		if (cwd && asprintf(&full, "%s/%s", cwd, path) < 0)
			full = NULL;
	}
	free(cwd);
	size_t length = full ? strlen(full) : 0;
	while (length > 1 && full[length - 1] == '/')
		full[--length] = '\0';
	return full;
}

/* `*path` becomes absolute; NULL stays. RUNDIR/ at its start stands for `run_dir` unless that is
 * NULL. */
static int resolve_path(const struct crew__loader *loader, const char *section, const char *key,
	char **path, const char *run_dir)
{
	if (!*path)
		return 0;
	char *full = make_absolute(*path, run_dir);
	if (!full) {
		int error = errno;
		crew__settings_refuse(loader, nobody, "cannot resolve %s.%s = %s: %s", section, key,
			*path, strerror(error));
		return error == ENOMEM ? -ENOMEM : -EINVAL;
	}
	free(*path);
	*path = full;
	/* Settings are written as lines for the workers. */
	if (strchr(full, '\n'))
		return crew__settings_refuse(loader, nobody,
			"%s.%s = %s: a path cannot hold a line break", section, key, full);
	return 0;
}

bool crew__log_place_is_word(const char *log)
{
	return strcmp(log, "stderr") == 0 || strcmp(log, "syslog") == 0 ||
	       strcmp(log, "journal") == 0;
}

static int resolve_log(struct crew__loader *loader)
{
	struct crew__settings *settings = loader->settings;
	if (settings->log && crew__log_place_is_word(settings->log))
		return 0;
	return resolve_path(loader, "crew", "log", &settings->log, settings->run_dir);
}

static int resolve_service_paths(struct crew__loader *loader)
{
	struct crew__settings *settings = loader->settings;
	int error = 0;
	for (unsigned i = 0; !error && i < settings->services; i++) {
		struct crew__service_settings *service = &settings->service[i];
		const char *name = service->service->name;
		error = resolve_path(
			loader, name, "access_log", &service->access_log, settings->run_dir);
		if (!error)
			error = resolve_path(
				loader, name, "upload_dir", &service->upload_dir, NULL);
		if (!error)
			error = resolve_path(loader, name, "chroot", &service->chroot, NULL);
	}
	return error;
}

static int resolve_run_dir(struct crew__loader *loader)
{
	struct crew__settings *settings = loader->settings;
	const char *option = loader->source->run_dir;
	if (option) {
		free(settings->run_dir);
		settings->run_dir = strdup(option);
	} else if (!settings->run_dir) {
		settings->run_dir = crew__settings_default_run_dir(settings->name);
	}
	if (!settings->run_dir)
		return crew__settings_no_memory(loader);
	if (option && !option[0])
		return crew__settings_refuse(
			loader, nobody, "--run-dir needs the name of a directory");
	return resolve_path(loader, "crew", "run_dir", &settings->run_dir, NULL);
}

/* ---- addresses ----------------------------------------------------------------------------- */

/* tcp:// and unix:// are bare transports, on which a protocol of the program's own may run too. */
static const char *const schemes[] = { "tcp", "tls", "unix", "udp", "text", "frame", "http",
	"https", "ws", "wss" };

/* What a service may listen on. */
struct places {
	size_t count;
	struct crew__address address[CREW__ADDRESSES_MAX];
};

static int unknown_scheme(const struct crew__loader *loader, struct crew__origin origin,
	const struct crew__service_settings *settings, const char *scheme)
{
	const char *own = settings->service->protocol ? settings->service->protocol->name : NULL;
	const char *name = settings->service->name, *nearest = NULL;
	size_t best = SIZE_MAX;
	for (size_t i = 0; i < crew__lengthof(schemes); i++)
		if (crew__nearer(scheme, schemes[i], &best))
			nearest = schemes[i];
	if (own && crew__nearer(scheme, own, &best))
		nearest = own;
	return crew__settings_refuse(loader, origin,
		"%s.listen = %.160s: unknown scheme \"%s\"; known are tcp, tls, text, frame, http, "
		"https, ws, wss, each also with +unix, and unix and udp%s%s%s%s%s",
		name, settings->listen, scheme, own ? ", and the program's own " : "",
		own ? own : "", nearest ? "; did you mean \"" : "", nearest ? nearest : "",
		nearest ? "\"?" : "");
}

static int check_scheme(const struct crew__loader *loader, struct crew__origin origin,
	const struct crew__service_settings *settings, const struct crew__address *address)
{
	const crew_protocol *own = settings->service->protocol;
	const char *scheme = address->scheme;
	bool bare = strcmp(scheme, "tcp") == 0 || strcmp(scheme, "udp") == 0;
	if (own && (strcmp(scheme, own->name) == 0 || bare))
		return 0;
	for (size_t i = 0; i < crew__lengthof(schemes); i++) {
		if (strcmp(scheme, schemes[i]) != 0 || strcmp(scheme, "unix") == 0)
			continue;
		if (address->transport == CREW__UDP && !bare)
			return crew__settings_refuse(loader, origin,
				"%s.listen = %.160s: %s is spoken over streams; write udp://, or +udp "
				"behind the name of a protocol of the program's own",
				settings->service->name, settings->listen, scheme);
		if (!own)
			return 0;
		return crew__settings_refuse(loader, origin,
			"%s.listen = %.160s: the service speaks a protocol of its own; write %s:// instead",
			settings->service->name, settings->listen, own->name);
	}
	return unknown_scheme(loader, origin, settings, scheme);
}

/* The setting that says where a service listens: who wrote crew.admin never saw admin.listen. */
enum {
	LISTEN_KEY_MAX = 80
};
static const char *listen_key(
	const struct crew__settings *settings, unsigned index, char text[LISTEN_KEY_MAX])
{
	if (crew__settings_is_admin(settings, index))
		return "crew.admin";
	snprintf(text, LISTEN_KEY_MAX, "%s.listen", settings->service[index].service->name);
	return text;
}

static int read_addresses(
	const struct crew__loader *loader, unsigned index, struct places *ret_places)
{
	char key[LISTEN_KEY_MAX];
	const struct crew__service_settings *settings = &loader->settings->service[index];
	struct crew__origin origin = loader->service_origin[index][CREW__SERVICE_KEY_listen];
	char why[ADDRESS_WHY_MAX];
	if (crew__addresses_parse(settings->listen, loader->settings->run_dir, ret_places->address,
		    &ret_places->count, why, sizeof(why)))
		return crew__settings_refuse(loader, origin, "%s = %.160s: %s",
			listen_key(loader->settings, index, key), settings->listen, why);
	if (ret_places->address[0].transport == CREW__UDP && settings->proxy_protocol)
		return crew__settings_refuse(loader, origin,
			"%s = %.160s: a PROXY header is of streams, and proxy_protocol is on; there is "
			"none over UDP",
			listen_key(loader->settings, index, key), settings->listen);
	return check_scheme(loader, origin, settings, &ret_places->address[0]);
}

static bool share_a_place(const struct places *a, const struct places *b)
{
	for (size_t i = 0; i < a->count; i++)
		for (size_t k = 0; k < b->count; k++)
			if (crew__address_same(&a->address[i], &b->address[k]))
				return true;
	return false;
}

static int check_addresses(const struct crew__loader *loader, struct places *places)
{
	const struct crew__settings *settings = loader->settings;
	char key[LISTEN_KEY_MAX];
	for (unsigned i = 0; i < settings->services; i++) {
		if (!settings->service[i].listen)
			continue;
		int error = read_addresses(loader, i, &places[i]);
		if (error)
			return error;
		for (unsigned k = 0; k < i; k++)
			if (share_a_place(&places[i], &places[k]))
				return crew__settings_refuse(loader,
					loader->service_origin[i][CREW__SERVICE_KEY_listen],
					"%s = %.160s: service %s listens there already",
					listen_key(settings, i, key), settings->service[i].listen,
					settings->service[k].service->name);
	}
	return 0;
}

/* An address that was taken away by an empty value is more likely a slip. */
static int check_emptied(const struct crew__loader *loader)
{
	const struct crew__settings *settings = loader->settings;
	for (unsigned i = 0; i < settings->services; i++) {
		struct crew__origin origin = loader->service_origin[i][CREW__SERVICE_KEY_listen];
		if (!settings->service[i].listen && origin.kind != CREW__ORIGIN_DEFAULT)
			return crew__settings_refuse(loader, origin,
				"%s.listen is empty; write an address such as tcp://127.0.0.1:7001",
				settings->service[i].service->name);
	}
	return 0;
}

/* ---- numbers ------------------------------------------------------------------------------- */

/* The hard limit, to which a worker raises its own, unless it is given one. */
static int64_t descriptor_limit(const struct crew__service_settings *settings)
{
	struct rlimit limit;
	if (settings->limit_nofile > 0)
		return settings->limit_nofile < SLOTS_MAX ? settings->limit_nofile : SLOTS_MAX;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max > SLOTS_MAX)
		return SLOTS_MAX;
	return (int64_t)limit.rlim_max;
}

static int64_t default_connections(const struct crew__service_settings *settings)
{
	int64_t connections = descriptor_limit(settings) * 9 / 10;
	return connections > 0 ? connections : 1;
}

static int check_connections(const struct crew__loader *loader)
{
	for (unsigned i = 0; i < loader->settings->services; i++) {
		const struct crew__service_settings *settings = &loader->settings->service[i];
		int64_t limit = descriptor_limit(settings);
		struct crew__origin origin =
			loader->service_origin[i][CREW__SERVICE_KEY_max_connections];
		if (origin.kind == CREW__ORIGIN_DEFAULT ||
			settings->max_connections <= limit - RESERVE)
			continue;
		return crew__settings_refuse(loader, origin,
			"%s.max_connections = %lld: a worker may open only %lld descriptors here; raise the "
			"hard limit (ulimit -Hn, LimitNOFILE= of systemd, limit_nofile) or allow at most %lld",
			settings->service->name, (long long)settings->max_connections,
			(long long)limit, (long long)(limit - RESERVE));
	}
	return 0;
}

/* NULL, or what the program would have to say of its connections. */
static const char *lacks_for_handover(const crew_service *service)
{
	bool has_bytes = service->conn_size > 0 ||
			 (service->protocol && service->protocol->state_size > 0);
	if (!has_bytes || service->handover_plain || (service->on_handover && service->on_restore))
		return NULL;
	return "its connections carry bytes of its own, so it must say handover_plain, or have "
	       "on_handover and on_restore";
}

/* Said at once, and not when the first reload finds that nothing moves. */
static int check_handover(const struct crew__loader *loader)
{
	for (unsigned i = 0; i < loader->settings->services; i++) {
		const struct crew__service_settings *settings = &loader->settings->service[i];
		const char *lacks = lacks_for_handover(settings->service);
		if (settings->handover && lacks)
			return crew__settings_refuse(loader,
				loader->service_origin[i][CREW__SERVICE_KEY_handover],
				"%s.handover = on: the program is not made for it: %s",
				settings->service->name, lacks);
	}
	return 0;
}

static int check_upload_dirs(const struct crew__loader *loader)
{
	for (unsigned i = 0; i < loader->settings->services; i++) {
		const struct crew__service_settings *settings = &loader->settings->service[i];
		struct stat found;
		const char *why = NULL;
		if (settings->upload_dir && stat(settings->upload_dir, &found) < 0)
			why = strerror(errno);
		else if (settings->upload_dir && !S_ISDIR(found.st_mode))
			why = "this is no directory";
		if (why)
			return crew__settings_refuse(loader,
				loader->service_origin[i][CREW__SERVICE_KEY_upload_dir],
				"%s.upload_dir = %.160s: %s; write a directory that the workers may "
				"write to",
				settings->service->name, settings->upload_dir, why);
	}
	return 0;
}

static bool is_http(const char *listen)
{
	static const char *const heads[] = { "http:", "http+", "https:", "https+" };
	listen = listen ? listen + strspn(listen, " \t") : "";
	for (size_t i = 0; i < crew__lengthof(heads); i++)
		if (strncmp(listen, heads[i], strlen(heads[i])) == 0)
			return true;
	return false;
}

/* udp:// and NAME+udp:// */
static bool is_udp(const char *listen)
{
	static const char tail[] = "udp";
	listen = listen ? listen + strspn(listen, " \t") : "";
	size_t length = strcspn(listen, ":"), at = length - strlen(tail);
	if (length < strlen(tail) || memcmp(listen + at, tail, strlen(tail)) != 0)
		return false;
	return at == 0 || listen[at - 1] == '+';
}

static int64_t default_idle(const char *listen)
{
	return is_http(listen) ? HTTP_IDLE_MS : is_udp(listen) ? UDP_IDLE_MS : 0;
}

/* A quarter of the memory this process may use, shared by all workers. */
static int64_t default_budget(const struct crew__settings *settings)
{
	int64_t workers = 0;
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	for (unsigned i = 0; i < settings->services; i++)
		workers += settings->service[i].workers;
	if (pages <= 0 || page <= 0)
		return CREW__GIB;
	int64_t share = (int64_t)pages * page / 4 / (workers > 0 ? workers : 1);
	return share > CREW__MIB ? share : CREW__MIB;
}

/* `accept` and `reuse_port` say one thing: who said his last has the word. */
static int resolve_accept(struct crew__loader *loader, unsigned index)
{
	struct crew__service_settings *settings = &loader->settings->service[index];
	const struct crew__origin *origins = loader->service_origin[index];
	struct crew__origin accept = origins[CREW__SERVICE_KEY_accept];
	struct crew__origin reuse_port = origins[CREW__SERVICE_KEY_reuse_port];
	/* Of a socket that all share, each datagram of a peer may go to another worker. */
	if (reuse_port.kind == CREW__ORIGIN_DEFAULT && accept.kind == CREW__ORIGIN_DEFAULT)
		settings->reuse_port = settings->workers > 1 && is_udp(settings->listen);
	bool own = settings->accept == CREW__ACCEPT_REUSE_PORT;
	if (accept.kind > reuse_port.kind)
		settings->reuse_port = own;
	else if (accept.kind < reuse_port.kind || accept.kind == CREW__ORIGIN_DEFAULT)
		settings->accept = settings->reuse_port ? CREW__ACCEPT_REUSE_PORT
				   : own                ? CREW__ACCEPT_SHARED
							: settings->accept;
	else if (own != settings->reuse_port)
		return crew__settings_refuse(loader, accept,
			"%s.accept and %s.reuse_port contradict each other: leave one of them out",
			settings->service->name, settings->service->name);
	if (settings->accept == CREW__ACCEPT_LEAST && is_udp(settings->listen))
		return crew__settings_refuse(loader, accept,
			"%s.accept = least-connections: over UDP nothing is accepted; allowed there "
			"are shared and reuse-port",
			settings->service->name);
	return 0;
}

static int resolve_accepts(struct crew__loader *loader)
{
	int error = 0;
	for (unsigned i = 0; !error && i < loader->settings->services; i++)
		error = resolve_accept(loader, i);
	return error;
}

static void resolve_numbers(struct crew__loader *loader)
{
	if (loader->crew_origin[CREW__CREW_KEY_buffer_budget].kind == CREW__ORIGIN_DEFAULT)
		loader->settings->buffer_budget = default_budget(loader->settings);
	for (unsigned i = 0; i < loader->settings->services; i++) {
		struct crew__service_settings *settings = &loader->settings->service[i];
		const struct crew__origin *origins = loader->service_origin[i];
		if (origins[CREW__SERVICE_KEY_max_connections].kind == CREW__ORIGIN_DEFAULT)
			settings->max_connections = default_connections(settings);
		if (origins[CREW__SERVICE_KEY_idle_timeout_ms].kind == CREW__ORIGIN_DEFAULT)
			settings->idle_timeout_ms = default_idle(settings->listen);
	}
}

/* --------------------------------------------------------------------------------------------- */

int crew__settings_resolve(struct crew__loader *loader)
{
	int error = crew__settings_settle_admin(loader);
	if (!error)
		error = resolve_run_dir(loader);
	if (!error)
		error = resolve_log(loader);
	if (!error)
		error = resolve_service_paths(loader);
	if (!error)
		error = crew__settings_resolve_tls(loader);
	if (!error)
		error = resolve_accepts(loader);
	if (!error)
		resolve_numbers(loader);
	return error;
}

int crew__settings_check(struct crew__loader *loader)
{
	int error = check_emptied(loader);
	struct places *places = calloc(loader->settings->services, sizeof(struct places));
	if (!places)
		return crew__settings_no_memory(loader);
	if (!error)
		error = check_addresses(loader, places);
	if (!error)
		error = check_connections(loader);
	if (!error)
		error = check_handover(loader);
	if (!error)
		error = check_upload_dirs(loader);
	if (!error)
		error = crew__settings_check_tls(loader);
	if (!error)
		error = crew__settings_check_confine(loader);
	free(places);
	return error;
}
