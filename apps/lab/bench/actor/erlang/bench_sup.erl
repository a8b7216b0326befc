%% The supervisors of the rows that need one. Intensity is set above what a batch crashes, so that none gives up.
-module(bench_sup).
-behaviour(supervisor).
-export([start_link/1, init/1, members/1]).

start_link(What) -> supervisor:start_link(?MODULE, What).

%% A call that starts a child appends to these arguments: none, or a name.
init(dynamic) ->
    {ok, {#{strategy => simple_one_for_one}, [(worker(bench_server, []))#{restart => temporary}]}};
init({restarting, Crashes}) ->
    {ok, {#{strategy => one_for_one, intensity => Crashes, period => 3600}, [worker(crashing, [crashing])]}};
init({one_for_all, Count, Crashes}) ->
    {ok, {#{strategy => one_for_all, intensity => Crashes, period => 3600}, [worker(Name, [Name]) || Name <- members(Count)]}}.

worker(Id, Arguments) -> #{id => Id, start => {bench_server, start_link, Arguments}}.

members(Count) -> [list_to_atom("member_" ++ integer_to_list(N)) || N <- lists:seq(1, Count)].
