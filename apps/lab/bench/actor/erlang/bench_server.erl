%% The gen_server of the rows that need one. Its state is how many messages it has handled.
-module(bench_server).
-behaviour(gen_server).
-export([start_link/0, start_link/1, init/1, handle_call/3, handle_cast/2]).

start_link() -> gen_server:start_link(?MODULE, [], []).

start_link(Name) -> gen_server:start_link({local, Name}, ?MODULE, [], []).

init([]) -> {ok, 0}.

handle_call(ask, _From, N) -> {reply, N, N + 1};
handle_call(count, _From, N) -> {reply, N, N};
handle_call(who, _From, N) -> {reply, self(), N + 1}.

handle_cast({ball, Runner, _, 0}, N) ->
    Runner ! over,
    {noreply, N + 1};
handle_cast({ball, Runner, From, Left}, N) ->
    gen_server:cast(From, {ball, Runner, self(), Left - 1}),
    {noreply, N + 1};
handle_cast(crash, _N) ->
    error(crash).
