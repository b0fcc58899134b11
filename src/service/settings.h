/* settings.h - what may be set, from where, and what is in force.
 *
 * One table names every key with its section, type, default, limits and help; the code's structs,
 * then the INI file, then --set fill it, in that order. Whatever is wrong is told with its origin
 * ("echo.ini:7", "--set") and the nearest known name, and nothing starts. A worker gets the
 * settings of its generation from the master as text (crew__settings_write / crew__settings_parse),
 * never from the file. */
#ifndef CREW_SERVICE_SETTINGS_H
#define CREW_SERVICE_SETTINGS_H

#include "base/base.h"
#include "base/log.h"
#include "loop/loop.h"

/* WebSocket compression: whose windows it uses. */
enum crew__deflate_choice {
	CREW__DEFLATE_OFF,
	CREW__DEFLATE_SHARED,
	CREW__DEFLATE_TAKEOVER
};

/* Asked of clients, and the least version: the values of settings (service/tls.c says them to net). */
enum crew__tls_clients {
	CREW__TLS_CLIENTS_OFF,
	CREW__TLS_CLIENTS_OPTIONAL,
	CREW__TLS_CLIENTS_REQUIRED
};
enum crew__tls_min {
	CREW__TLS_MIN_1_2 = 2,
	CREW__TLS_MIN_1_3
};

/* Which system calls workers are kept from, and what such a call gets. */
enum crew__seccomp {
	CREW__SECCOMP_OFF,
	CREW__SECCOMP_DEFAULT
};
enum crew__seccomp_action {
	CREW__SECCOMP_REFUSE, /* EPERM */
	CREW__SECCOMP_KILL,
	CREW__SECCOMP_LOG
};

/* Of numbers: as the worker inherits it. */
#define CREW__UNCHANGED INT64_MIN

/* Which worker accepts. */
enum crew__accept_choice {
	CREW__ACCEPT_SHARED,
	CREW__ACCEPT_REUSE_PORT, /* exactly when `reuse_port` */
	CREW__ACCEPT_LEAST
};

/* The settings of one service, all in force: no zero means "default" here. 0 is "off" where a
 * feature can be off. */
struct crew__service_settings {
	const crew_service *service;
	char *listen;    /* NULL: no socket */
	int64_t workers; /* resolved: >= 1 */
	bool reuse_port;
	int64_t accept; /* enum crew__accept_choice */
	char *user, *group; /* NULL: unchanged */
	int64_t max_connections, max_connections_per_ip, connection_rate_per_ip, max_message, max_send_buffer;
	int64_t kernel_unsent_limit;
	int64_t send_timeout_ms, idle_timeout_ms, handshake_timeout_ms, heartbeat_ms, linger_ms;
	int64_t drain_timeout_ms, stop_timeout_ms;
	int64_t slow_callback_ms, stuck_ms; /* 0: off */
	int64_t min_body_rate, max_head;
	int64_t gzip;     /* the shortest body worth compressing; 0: off */
	char *access_log; /* absolute; NULL: none */
	bool access_log_json;
	char *trusted_proxies; /* a list for crew__cidrs_parse(); NULL: nobody is trusted */
	bool proxy_protocol;
	char *upload_dir; /* absolute; NULL: /tmp */
	int64_t policy;   /* crew_policy, never the default */
	int64_t deflate;     /* enum crew__deflate_choice */
	int64_t deflate_min; /* the shortest message worth compressing; 0: none is */
	int64_t soft_limit, soft_limit_ms, rate_bytes, rate_messages;
	int64_t auth_timeout_ms, unauthenticated_limit;
	char *tls_cert, *tls_key; /* absolute paths with blanks between; NULL: TLS is not spoken */
	char *tls_ocsp;           /* likewise, or "-" */
	char *tls_client_ca;      /* absolute */
	char *tls_alpn;           /* NULL: by the protocol */
	int64_t tls_client;       /* enum crew__tls_clients */
	int64_t tls_min;          /* enum crew__tls_min */
	int64_t tls_handshakes_most; /* 0: no limit */
	int64_t ktls;             /* 0: never */
	char *capabilities;       /* for crew__capabilities_parse(); NULL: none, or unchanged */
	bool no_new_privs;
	int64_t seccomp, seccomp_action; /* enum crew__seccomp, enum crew__seccomp_action */
	char *chroot;             /* absolute; NULL: none */
	int64_t umask, limit_core, nice, oom_score_adj; /* CREW__UNCHANGED */
	int64_t limit_nofile, limit_memory;             /* 0: none of our own */
	char *cpu_affinity;       /* for crew__cpus_parse(); NULL: off */
	int64_t recycle_requests, recycle_age_ms, recycle_memory;
	int64_t offload_threads, offload_queue;
	int64_t offload_timeout_ms; /* 0: as long as it takes */
	bool handover;
};

struct crew__settings {
	const crew_app *app;
	/* The program's, in its order, and behind them the admin service when `admin` is set.
	 * Whoever wants to know all services walks these, not crew_app.services. */
	unsigned services;
	struct crew__service_settings service[CREW_MAX_SERVICES];
	enum crew__engine_kind engine;
	crew_level log_level;
	char *log;     /* path, or one of crew__log_place_is_word(); NULL: RUNDIR/NAME.log with -d,
	                * standard error in the foreground */
	int64_t log_format;            /* 1: JSON */
	int64_t log_facility;          /* of syslog: 3 daemon, 1 user, 16 to 23 local */
	int64_t log_size, log_keep;    /* 0: files may grow */
	bool capture_output;
	int64_t capture_lines;         /* a second, of one worker; 0: no limit */
	char *run_dir; /* always set, absolute */
	int64_t control_mode;          /* permissions of the control socket: octal, 0600 */
	char *control_group;           /* NULL: unchanged */
	char *control_act_group;       /* NULL: only root and the master's user may act */
	int64_t buffer_budget;         /* bytes of one worker; 0: off */
	bool fd_store;                 /* listening sockets go to the service manager's store */
	char *dns_servers;             /* instead of the system's; NULL */
	int64_t fetches_most, fetch_connections, fetch_host_connections;
	char *admin;                   /* an address; NULL: no admin service */
	bool core_dumps;               /* workers that crash leave them */
	char *admin_token;             /* NULL: nobody may act by the admin service */
	char **app_keys, **app_values; /* section [app] */
	size_t app_count;
	char *name; /* the program's name */
};

/* Where the values come from. Pointers are borrowed. */
struct crew__settings_source {
	const crew_app *app;
	const char *program;     /* argv[0], for the name */
	const char *config;      /* file, or NULL; it must then exist */
	const char *const *sets; /* "SECTION.KEY=VALUE" */
	size_t set_count;
	const char *run_dir; /* --run-dir, or NULL */
};

/* Fill and check. 0, or -EINVAL/-ENOMEM/... with one line in `ret_error` that names origin, key,
 * cause and what to do. Calls app->on_config last (with the settings in force for crew_setting). */
int crew__settings_load(const struct crew__settings_source *source,
	struct crew__settings **ret_settings, char *ret_error, size_t error_size);
void crew__settings_free(struct crew__settings *settings);

/* All in force as text ("section.key=value\n"), allocated; and back, for a worker. */
char *crew__settings_write(const struct crew__settings *settings);
int crew__settings_parse(const crew_app *app, const char *text,
	struct crew__settings **ret_settings, char *ret_error, size_t error_size);

/* `path` as seen by one whose root directory is `root`: a part of it, or "/"; NULL: it is outside. */
const char *crew__path_inside(const char *root, const char *path);
/* This process has entered settings->chroot: paths among the settings are from there now. */
void crew__settings_enter_root(struct crew__service_settings *settings);
/* Of the keys that confine or renew workers and are set, number `number` from 0; NULL: there are no
 * more. */
const char *crew__settings_name_confine(
	const struct crew__service_settings *settings, unsigned number);

/* Where a program of that name runs when nobody says where; the caller frees it. NULL: no memory. */
char *crew__settings_default_run_dir(const char *name);

/* What is in force for a service of outgoing connections, which stands in no crew_app: service[0] of the
 * result, to be freed as above. 0, -ENOMEM, or -EINVAL with a sentence. */
int crew__settings_for_client(const crew_service *service, struct crew__settings **ret_settings,
	char *ret_error, size_t error_size);

/* The service that `[crew] admin` switches on; called "admin", kept by the top layer, which hands
 * it down before anything is loaded. NULL: there is none, and crew.admin cannot be set. */
void crew__settings_use_admin(const crew_service *service);

/* ---- settings that change while the program runs ---- */

/* One change: which member of which section, as the table names it. */
struct crew__settings_change {
	int service;         /* index; -1: section [crew] */
	unsigned key;        /* its number among the section's keys that are live, below 64 */
	const char *name;    /* the key's */
	int64_t before, now; /* values; all keys that are live are numbers inside */
};

/* Change one value of settings in force; `text` is SECTION.KEY=VALUE. 0; or -EINVAL with one line
 * in `ret_error`: unknown, not live, or the value is none of it. -ENOMEM. Nothing is changed then.
 */
int crew__settings_set_live(struct crew__settings *settings, const char *text,
	struct crew__settings_change *ret_change, char *ret_error, size_t error_size);
/* Take it back. */
void crew__settings_undo_live(
	struct crew__settings *settings, const struct crew__settings_change *change);
/* "web.policy=drop-oldest": what is in force for the live key of that number. False: it has no room. */
bool crew__settings_show_live(
	const struct crew__settings *settings, int service, unsigned number, char *text, size_t size);
/* May that key change while the program runs? `service`: one of a service, else one of [crew]. */
bool crew__setting_is_live(bool service, const char *key);

/* The settings that crew_setting() reads in this process. */
void crew__settings_use(const struct crew__settings *settings);
const struct crew__settings *crew__settings_in_use(void); /* NULL: none yet */

/* Is that value of crew.log no file: stderr, syslog, journal? */
bool crew__log_place_is_word(const char *log);

/* "1m", "64k", "12", "off" → bytes or number. 0, -EINVAL, -ERANGE. */
int crew__parse_number(const char *text, int64_t *ret_number);

/* For help and the manual: every key with section, type, default and sentence, one line each. */
struct crew__setting_row {
	const char *section; /* "service", "crew" */
	const char *key, *type, *fallback, *sentence;
};
const struct crew__setting_row *crew__settings_table(size_t *ret_count);

#endif
