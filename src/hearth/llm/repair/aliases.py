"""What other agents call the tools and arguments that we know: tables, pure data.

Each group holds names of one thing. Whichever of them is offered is meant; where two are, only the exact name counts.
Sources: the tool sets of Claude Code, OpenCode, Cline and Roo, Copilot, Cursor, Codex, Gemini CLI, qwen-code, pi,
SWE-agent, OpenHands, the file server of MCP, and gpt-oss's own. Spelling does not matter:
``ReadFile`` is ``read_file``.
"""

from __future__ import annotations

from collections.abc import Mapping

TOOLS: Mapping[str, tuple[str, ...]] = {
    "read": (
        *("read", "read_file", "file_read", "view", "view_file", "open_file", "cat", "cat_file", "get_file"),
        *("get_file_content", "get_file_contents", "read_file_content", "read_text_file", "load_file", "show_file"),
        *("fs_read", "read_lines"),
    ),
    "write": (
        *("write", "write_file", "file_write", "create_file", "write_to_file", "save_file", "new_file", "create"),
        *("overwrite_file", "fs_write", "write_text_file", "create_new_file"),
    ),
    "edit": (
        *("edit", "edit_file", "file_edit", "replace", "str_replace", "replace_in_file", "search_replace"),
        *("search_and_replace", "replace_string_in_file", "replace_string", "replace_text", "modify_file"),
        *("str_replace_editor", "str_replace_based_edit_tool", "string_replace", "find_and_replace", "file_replace"),
    ),
    "grep": (
        *("grep", "grep_search", "search", "search_files", "search_file_content", "search_content", "ripgrep", "rg"),
        *("search_code", "code_search", "find_in_files", "content_search", "search_text", "grep_files", "text_search"),
        *("search_in_files", "regex_search", "grep_tool", "file_content_search"),
    ),
    "bash": (
        *("bash", "shell", "run_shell_command", "run_terminal_cmd", "run_terminal_command", "run_command", "terminal"),
        *("execute_command", "exec_command", "exec", "execute", "execute_bash", "run_bash", "bash_command", "sh"),
        *("shell_exec", "shell_command", "run_shell", "run_in_terminal", "local_shell", "execute_shell_command", "run"),
        *("execute_shell", "bash_tool", "shell_tool", "command", "cmd", "console", "run_bash_command", "exec_bash"),
    ),
    "glob": (
        *("glob", "find_files", "glob_search", "file_glob", "glob_files", "find", "find_file", "find_by_name"),
        *("file_search", "find_path", "glob_tool", "search_file_names"),
    ),
    "todo": (
        *("todo", "todo_write", "write_todos", "update_todos", "update_todo_list", "todo_list", "manage_todo_list"),
        *("update_plan", "todos", "set_todos", "update_todo", "write_todo", "plan"),
    ),
    "multi_edit": ("multi_edit", "multi_edit_file", "multi_replace", "multi_replace_string_in_file", "edit_files"),
    "task": ("task", "agent", "subagent", "delegate", "dispatch_agent", "spawn_agent", "launch_agent", "run_subagent"),
    "apply_patch": ("apply_patch", "patch", "apply_diff"),
    "output": ("output", "bash_output", "read_output", "get_output", "command_output"),
    "kill": ("kill", "kill_bash", "kill_shell", "kill_process", "stop_command"),
}

_PATHS = (
    *("path", "file_path", "file", "filename", "file_name", "target_file", "absolute_path", "relative_path"),
    *("target_path", "abs_path", "pathname", "full_path", "relative_workspace_path"),
)
_FOLDERS = (
    *("path", "directory", "dir", "folder", "search_path", "dir_path", "directory_path", "search_directory"),
    *("base_path", "root", "root_dir", "target_directory", "file_path", "absolute_path", "relative_path"),
)

ARGUMENTS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "read": (
        _PATHS,
        ("offset", "start_line", "line_start", "start", "from_line", "first_line", "begin_line", "line_offset"),
        ("limit", "max_lines", "line_count", "num_lines", "number_of_lines", "n_lines", "line_limit", "count"),
    ),
    "write": (
        _PATHS,
        (
            *("content", "file_content", "contents", "text", "file_text", "code_content", "data", "body"),
            *("new_content", "file_contents", "code"),
        ),
    ),
    "edit": (
        _PATHS,
        (
            *("old", "old_string", "old_text", "old_str", "old_content", "old_code", "search", "find", "original"),
            *("search_string", "search_text", "target_content", "original_text", "before", "from_text", "old_value"),
        ),
        (
            *("new", "new_string", "new_text", "new_str", "new_content", "new_code", "replace", "replacement"),
            *("replace_string", "replace_with", "replacement_content", "replacement_text", "replace_text", "after"),
            *("to_text", "new_value", "updated"),
        ),
        ("all", "replace_all", "all_occurrences", "replace_all_occurrences", "allow_multiple", "global"),
    ),
    "grep": (
        (
            *("pattern", "query", "regex", "regexp", "search", "search_pattern", "search_term", "search_query", "q"),
            *("text", "expression", "search_text", "search_string", "keyword"),
        ),
        _FOLDERS,
        (
            *("glob", "include", "include_pattern", "file_pattern", "file_glob", "glob_pattern", "includes"),
            *("include_glob", "filename_pattern"),
        ),
    ),
    "bash": (
        ("command", "cmd", "shell_command", "script", "command_line", "bash_command", "input", "code"),
        ("timeout", "timeout_s", "timeout_seconds", "timeout_sec", "timeout_secs"),
        ("background", "is_background", "run_in_background", "in_background", "background_mode"),
    ),
    "glob": (
        (
            *("pattern", "glob", "glob_pattern", "file_pattern", "query", "name_pattern", "filename_pattern"),
            *("search_pattern", "name"),
        ),
        _FOLDERS,
    ),
    "todo": (("items", "todos", "tasks", "todo_list", "plan", "todo_items", "list", "entries"),),
    "task": (("goal", "prompt", "task", "instructions", "request", "query"),),
    "multi_edit": (("edits", "replacements", "changes", "operations"),),
    "apply_patch": (("patch", "input", "diff", "patch_text", "content"),),
    "output": (("id", "bash_id", "shell_id", "task_id", "process_id", "session_id", "command_id"),),
    "kill": (("id", "bash_id", "shell_id", "task_id", "process_id", "session_id", "command_id"),),
}

MEMBERS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "todo": (
        ("text", "content", "title", "task", "description", "step", "item", "name"),
        ("done", "completed", "is_done", "is_completed", "finished", "complete", "checked", "status", "state"),
    ),
    "multi_edit": ARGUMENTS["edit"],
}
"""The same for the objects within a tool's arguments."""

STATES: Mapping[str, bool] = {
    **dict.fromkeys(("completed", "complete", "done", "finished"), True),
    **dict.fromkeys(("pending", "in_progress", "not_started", "todo", "open", "in-progress", "not-started"), False),
}
"""What ``status`` says of a step of a plan, where only done or not done is asked."""

FOREIGN = frozenset(
    [
        "browser",
        "web",
        "internet",
        "python",
        "ipython",
        "jupyter",
        "http",
        "sql",
        "db",
        "database",
        "google",
        "brave_search",
        "wolfram_alpha",
        "image",
        "memory",
        "computer",
        "slack",
        "github",
        "jira",
    ]
)
"""Namespaces that are more than decoration: what ``browser.search`` looks through is not the project."""

DECORATIONS = frozenset(
    ["default_api", "functions", "function", "tools", "tool", "api", "repo_browser", "container", "assistant"]
)
"""Namespaces that are no more than that, where a call is written as Python."""

INSTEAD: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("apply_patch", "patch", "apply_diff", "multi_edit", "insert", "insert_content"), ("edit",)),
    **dict.fromkeys(("list_dir", "list_directory", "list_files", "ls", "print_tree", "tree", "dir"), ("glob", "bash")),
    **dict.fromkeys(("delete_file", "move_file", "rename_file", "copy_file", "mkdir", "create_directory"), ("bash",)),
    **dict.fromkeys(("python", "execute_python", "run_python", "run_tests", "run_code", "git", "pytest"), ("bash",)),
    **dict.fromkeys(("edit", "write"), ("edit", "write", "apply_patch")),
    **dict.fromkeys(("read_many_files", "read_multiple_files"), ("read",)),
}
"""Tools that we do not have, and which of ours does it."""

ENDINGS = frozenset(
    [
        "finish",
        "submit",
        "done",
        "attempt_completion",
        "final_answer",
        "answer",
        "respond",
        "complete_task",
        "task_done",
    ]
)
"""Tools by which other agents end their work; ours ends it with words."""
