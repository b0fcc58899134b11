/* settings_parts.h - what the files of the settings share; not for others (settings.h is).
 *
 *   settings.c          the order of loading, and the end of settings
 *   settings_table.c    the table of keys, and the way to a key by its name
 *   settings_value.c    one value: from text, to text, in range
 *   settings_program.c  what the program's structs say, and whether they are sound
 *   settings_ini.c      the file
 *   settings_resolve.c  defaults that depend on the machine; checks of keys against each other
 *   settings_app.c      section [app]
 *   settings_text.c     all of it as text, and back
 *   settings_live.c     changes while the program runs
 *   settings_tls.c      what TLS needs: files in pairs, and an address that speaks it
 *   settings_confine.c  as whom and with what workers run
 *   settings_admin.c    the service that crew.admin switches on
 *   settings_client.c   a service of outgoing connections */
#ifndef CREW_SERVICE_SETTINGS_PARTS_H
#define CREW_SERVICE_SETTINGS_PARTS_H

#include "service/settings.def"
#include "service/settings.h"

enum crew__settings_kind {
	CREW__KIND_ADDRESS, /* char *, NULL when empty */
	CREW__KIND_USER,
	CREW__KIND_GROUP,
	CREW__KIND_PATH,
	CREW__KIND_DIRECTORY,
	CREW__KIND_FILE,     /* `off` is NULL too */
	CREW__KIND_NETWORKS, /* a list for crew__cidrs_parse() */
	CREW__KIND_FILES,      /* paths, or -, with blanks between */
	CREW__KIND_WORDS,      /* text */
	CREW__KIND_TLS_CLIENT, /* int64_t: enum crew__tls_clients */
	CREW__KIND_TLS_MIN,    /* int64_t: enum crew__tls_min */
	CREW__KIND_KTLS,       /* int64_t: 0 off, 1 auto */
	CREW__KIND_LOG_FORMAT,   /* int64_t: 0 text, 1 json */
	CREW__KIND_LOG_FACILITY, /* int64_t */
	CREW__KIND_ACCEPT,     /* int64_t: enum crew__accept_choice */
	CREW__KIND_SERVERS,  /* a list for crew__resolver_new() */
	CREW__KIND_NUMBER,   /* int64_t */
	CREW__KIND_SIZE,
	CREW__KIND_MS,
	CREW__KIND_WORKERS,
	CREW__KIND_MODE,
	CREW__KIND_SWITCH, /* bool */
	CREW__KIND_ENGINE,
	CREW__KIND_LEVEL,
	CREW__KIND_POLICY, /* int64_t: a crew_policy */
	CREW__KIND_DEFLATE, /* int64_t: a crew__deflate_choice */
	CREW__KIND_ADMIN,  /* an address; `off` is NULL too */
	CREW__KIND_TOKEN,  /* text that is never shown in messages */
	CREW__KIND_CAPABILITIES,   /* text for crew__capabilities_parse() */
	CREW__KIND_CPUS,           /* text for crew__cpus_parse(); `off` is NULL too */
	CREW__KIND_INHERITED,      /* int64_t, or CREW__UNCHANGED */
	CREW__KIND_UMASK,          /* likewise, octal */
	CREW__KIND_SECCOMP,        /* int64_t: enum crew__seccomp */
	CREW__KIND_SECCOMP_ACTION, /* int64_t: enum crew__seccomp_action */
};

/* The places of the keys in their tables. */
enum crew__service_key {
#define X(key, ...) CREW__SERVICE_KEY_##key,
	CREW_SERVICE_SETTING_TABLE(X)
#undef X
	CREW__SERVICE_KEYS
};
enum crew__crew_key {
#define X(key, ...) CREW__CREW_KEY_##key,
	CREW_CREW_SETTING_TABLE(X)
#undef X
	CREW__CREW_KEYS
};

struct crew__settings_key {
	const char *name;
	enum crew__settings_kind kind;
	int64_t least, most, preset;
	size_t offset;
};
extern const struct crew__settings_key crew__service_keys[CREW__SERVICE_KEYS];
extern const struct crew__settings_key crew__crew_keys[CREW__CREW_KEYS];

/* Who said it. */
enum crew__origin_kind {
	CREW__ORIGIN_DEFAULT,
	CREW__ORIGIN_PROGRAM,
	CREW__ORIGIN_FILE,
	CREW__ORIGIN_SET,
	CREW__ORIGIN_MASTER,   /* crew__settings_parse */
	CREW__ORIGIN_OPERATOR, /* crew__settings_set_live: they know what they typed */
};
struct crew__origin {
	enum crew__origin_kind kind;
	unsigned line; /* of the file */
};

/* One loading, or parsing, under way. */
struct crew__loader {
	const struct crew__settings_source *source;
	struct crew__settings *settings;
	struct crew__origin service_origin[CREW_MAX_SERVICES][CREW__SERVICE_KEYS];
	struct crew__origin crew_origin[CREW__CREW_KEYS];
	bool has_admin; /* the last of the services is the admin service */
	char *error;
	size_t error_size;
};

/* ---- complaints ---------------------------------------------------------------------------- */

/* "ORIGIN: text", and the status to return: -EINVAL. */
int crew__settings_refuse(const struct crew__loader *loader, struct crew__origin origin,
	const char *format, ...) __attribute__((format(printf, 3, 4)));
int crew__settings_no_memory(const struct crew__loader *loader);

/* ---- the table ----------------------------------------------------------------------------- */

/* What a section's name stands for. */
struct crew__section {
	enum {
		CREW__SECTION_SERVICE,
		CREW__SECTION_CREW,
		CREW__SECTION_APP
	} kind;
	unsigned service; /* index */
};

/* 0; or -ENOENT without a complaint. */
int crew__settings_find_section(
	const struct crew__settings *settings, const char *name, struct crew__section *ret_section);
int crew__settings_unknown_section(
	const struct crew__loader *loader, struct crew__origin origin, const char *name);

/* Find section and key, and set it. 0, -EINVAL with a complaint, -ENOMEM. What is unknown is
 * refused, but for what a master of another version says, which is left out. */
int crew__settings_assign(struct crew__loader *loader, struct crew__origin origin,
	const char *section, const char *key, const char *value);

/* ---- values -------------------------------------------------------------------------------- */

enum {
	CREW__WHY_MAX = 256
};

/* Read `value` into the member of `base` that `key` names. 0, -ENOMEM, or -EINVAL with what is
 * wrong in `why`. */
int crew__settings_read_value(const struct crew__settings_key *key, void *base, const char *value,
	char why[CREW__WHY_MAX]);

/* The same for kinds of settings_confine.c, and back as text. */
int crew__settings_read_confine(const struct crew__settings_key *key, void *base, const char *value,
	char why[CREW__WHY_MAX]);
char *crew__settings_show_confine(const struct crew__settings_key *key, int64_t number);

/* A number that the program gives: 0 is the preset, CREW_OFF is off. */
int crew__settings_take_number(
	const struct crew__settings_key *key, void *base, int64_t value, char why[CREW__WHY_MAX]);

/* The value as text that reads back to the same, allocated; NULL without memory. */
char *crew__settings_show_value(const struct crew__settings_key *key, const void *base);

void crew__settings_preset(const struct crew__settings_key *key, void *base);
void crew__settings_drop_value(const struct crew__settings_key *key, void *base);

/* ---- steps --------------------------------------------------------------------------------- */

int crew__settings_take_program(struct crew__loader *loader);
/* The structs' values of one service whose presets are to be filled first. */
int crew__settings_take_service(struct crew__loader *loader, unsigned index);
/* A place for the admin service behind the program's, so that section [admin] is known; and, once
 * crew.admin is known, its address, or its place taken back. */
int crew__settings_place_admin(struct crew__loader *loader);
int crew__settings_settle_admin(struct crew__loader *loader);
/* Is that service the admin service? */
bool crew__settings_is_admin(const struct crew__settings *settings, unsigned index);
int crew__settings_take_file(struct crew__loader *loader, const char *path);
int crew__settings_resolve(struct crew__loader *loader);
int crew__settings_check(struct crew__loader *loader);
/* The paths of TLS become absolute; and are all its settings there that go together? */
int crew__settings_resolve_tls(struct crew__loader *loader);
int crew__settings_check_tls(const struct crew__loader *loader);
int crew__settings_check_confine(const struct crew__loader *loader);

/* The beginning of every loading: an empty object with all presets and the program's values. */
int crew__settings_begin(struct crew__loader *loader);

/* In section [app]. -ENOMEM. */
int crew__settings_set_app(struct crew__settings *settings, const char *key, const char *value);
void crew__settings_drop_app(struct crew__settings *settings);

#endif
